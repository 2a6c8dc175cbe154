"""Frames to files, as they come: H.264 in mp4 that browsers play, and PNG, WebP or JPEG stills."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hibari.media.fit import Frame

CRF = 16  # visually clean; a watermark must live through it
JPEG_QUALITY = 95
# With several lookahead threads what x264's memory happens to hold decides a few frame costs, and the same frames
# become one of a dozen files. With one they are always the same file; frame threads stay as they are.
X264 = "lookahead-threads=1"


def write_video(path: Path, frames: Iterable[Frame], fps: int, *, tags: Mapping[str, str] | None = None) -> int:
    """Encode frames (uint8, even height and width, all equal) into `path`; returns how many there were.

    H.264 High in mp4, yuv420p, BT.709 both in the numbers and in the tags, index first (faststart),
    constant memory. `tags` go into moov.udta.meta under keys of any name. Raises OSError where the file cannot be
    written, and whatever `frames` raises.
    """
    frames = iter(frames)
    first = next(frames, None)
    assert first is not None, "a video has at least one frame"
    height, width = first.shape[:2]
    count = 0
    flags = "+faststart+use_metadata_tags" if tags else "+faststart"
    with av.open(str(path), "w", format="mp4", options={"movflags": flags}) as out:
        out.metadata.update(tags or {})
        options = {"crf": str(CRF), "preset": "medium", "profile": "high", "x264-params": X264}
        stream = out.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.gop_size = 2 * fps
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        for frame in chain([first], frames):
            assert frame.shape == first.shape and frame.dtype == np.uint8, (frame.shape, frame.dtype)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            picture.pts = count
            out.mux(stream.encode(picture))
            count += 1
        out.mux(stream.encode())
    return count


def write_still(path: Path, frame: Frame, encoder: str, *, xmp: str = "") -> None:
    """Encode one frame (uint8, (height, width, 3)) as "PNG", "WEBP" or "JPEG"; raises OSError. `xmp` is a packet."""
    options: dict[str, dict[str, Any]] = {
        "PNG": {},
        "WEBP": {"lossless": True},
        "JPEG": {"quality": JPEG_QUALITY, "subsampling": 0},
    }
    if xmp and encoder == "PNG":
        options["PNG"]["pnginfo"] = PngInfo()
        options["PNG"]["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    elif xmp:
        options[encoder]["xmp"] = xmp.encode()
    Image.fromarray(frame).save(path, format=encoder, **options[encoder])
