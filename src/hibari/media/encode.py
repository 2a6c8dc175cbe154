"""Frames to files, as they come: H.264 in mp4 that browsers play, and PNG, WebP or JPEG stills."""

import logging
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

from hibari.errors import BadMedia
from hibari.media.files import beside, output_error
from hibari.media.fit import Frame
from hibari.media.suffixes import format_of

CRF = 16  # visually clean; a watermark must live through it
JPEG_QUALITY = 95


def write_video(target: Path, frames: Iterable[Frame], fps: int) -> int:
    """Encode frames (uint8, even height and width, all equal) into `target`; returns how many there were.

    H.264 High, yuv420p, BT.709 both in the numbers and in the tags, index first (faststart), constant
    memory. Raises OutputError, and whatever `frames` raises; then nothing is left behind.
    """
    if format_of(target).kind != "video":
        raise BadMedia(f"{target.name} is not a video.", option="output", hint="Use .mp4.")
    # libx264 writes its statistics to standard error unless told; PyAV hands them to logging.
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with beside(target) as partial:
        return _encode(partial, frames, fps)


def _encode(partial: Path, frames: Iterable[Frame], fps: int) -> int:
    frames = iter(frames)
    first = next(frames, None)
    assert first is not None, "a video has at least one frame"
    height, width = first.shape[:2]
    count = 0
    with av.open(str(partial), "w", format=format_of(Path("x.mp4")).encoder, options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": str(CRF), "preset": "medium", "profile": "high"})
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


def write_still(target: Path, frame: Frame) -> None:
    """Encode one frame (uint8, (height, width, 3)) as the picture that the suffix names; raises OutputError."""
    form = format_of(target)
    if form.kind != "still":
        raise BadMedia(f"{target.name} is not a picture.", option="output", hint="Use .png, .webp or .jpg.")
    options = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": JPEG_QUALITY, "subsampling": 0}}
    with beside(target) as partial:
        try:
            Image.fromarray(frame).save(partial, format=form.encoder, **options[form.encoder])
        except OSError as error:
            raise output_error(target, error) from error
