"""The child process that opens other people's files: `python -m hibari.media.reader JSON`.

It limits itself before it looks at a byte, answers with one line of JSON and then, where frames were
asked for, their raw bytes (rgb24) on standard output. A file that kills it kills nothing else.
`decode.py` is its other end; nothing else starts it.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari.media import child

if TYPE_CHECKING:
    import av
    import numpy as np

# Demuxers that read the one file they are given: no playlists, no image sequences, no networks.
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,gif,mpegvideo,h264,hevc,ivf"
PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class Unreadable(Exception):
    """This file cannot be read; the message says why."""


def read_picture(path: Path, max_pixels: int) -> "tuple[dict[str, Any], Iterator[np.ndarray]] | None":
    """Head and the one frame of a picture; None where the file is no picture that Pillow knows."""
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # our own bound below, with our own words
    try:
        picture = Image.open(path, formats=PICTURES)
    except UnidentifiedImageError:
        return None
    with picture:
        _check_pixels(picture.width, picture.height, max_pixels)
        if getattr(picture, "n_frames", 1) > 1 and picture.format == "GIF":
            return None  # a moving picture is a video
        codec = str(picture.format).lower()
        upright = ImageOps.exif_transpose(picture)
        if upright.has_transparency_data:
            rgba = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        frame = np.asarray(upright.convert("RGB"))
    head = {"kind": "still", "codec": codec, "width": frame.shape[1], "height": frame.shape[0], "fps": 0.0, "frames": 1}
    return head, iter([frame])


def read_video(path: Path, max_pixels: int, a_second: float | None) -> "tuple[dict[str, Any], Iterator[np.ndarray]]":
    """Head and the frames of a video, upright, as they are decoded; of each second so many as are wanted."""
    import av

    container = av.open(str(path), options={"format_whitelist": DEMUXERS, "protocol_whitelist": "file"})
    if not container.streams.video:
        raise Unreadable("it holds no picture track")
    stream = container.streams.video[0]
    stream.thread_type = "NONE"  # threads cost address space, and the limit counts it
    _check_pixels(stream.width, stream.height, max_pixels)
    rate = stream.average_rate or stream.guessed_rate
    fps = float(rate) if rate else 0.0
    decoded = thinned(_to_the_end(container, stream), fps, a_second)
    frames = (_upright(frame, max_pixels) for frame in decoded)
    first = next(frames, None)
    if first is None:
        raise Unreadable("it holds no frame")
    head = {
        "kind": "video",
        "codec": stream.codec_context.name,
        "width": first.shape[1],
        "height": first.shape[0],
        "fps": fps,
        "frames": stream.frames,
    }
    return head, _same_size(first, frames)


def _to_the_end(container: "av.container.InputContainer", stream: "av.VideoStream") -> "Iterator[av.VideoFrame]":
    """All frames; raises Unreadable where the index names more bytes than the file has.

    FFmpeg takes a file that was cut between two frames for one that ends there.
    """
    yield from container.decode(stream)
    if any(entry.pos + entry.size > container.size for entry in stream.index_entries):
        raise Unreadable("it is cut short")


def thinned(frames: "Iterator[av.VideoFrame]", fps: float, a_second: float | None) -> "Iterator[av.VideoFrame]":
    """The frames nearest to even steps in time; all where there are fewer of them, or nobody knows how many."""
    if a_second is None or fps <= a_second:
        yield from frames
        return
    step = 0
    for index, frame in enumerate(frames):
        if index >= round(step * fps / a_second):
            yield frame
            step += 1


def _upright(frame: "av.VideoFrame", max_pixels: int) -> "np.ndarray":
    import numpy as np

    _check_pixels(frame.width, frame.height, max_pixels)
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))


def _same_size(first: "np.ndarray", rest: "Iterator[np.ndarray]") -> "Iterator[np.ndarray]":
    for frame in chain([first], rest):
        if frame.shape != first.shape:
            raise Unreadable("its frames change their size")
        yield frame


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise Unreadable(f"{width}x{height} is too large ({max_pixels // 10**6} million pixels are allowed)")


def answer(task: dict[str, Any]) -> None:
    """Do one task: read `path`, write its head, and up to `frames` frames."""
    path = Path(task["path"])
    head, frames = read_picture(path, task["pixels"]) or read_video(path, task["pixels"], task["a_second"])
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
    for frame in islice(frames, task["frames"]):
        sys.stdout.buffer.write(frame.tobytes())
    sys.stdout.buffer.flush()


def main() -> None:
    """Read the task from the command line; every failure is one line of JSON and exit status 1."""
    task = child.begin()
    warnings.simplefilter("ignore")
    try:
        answer(task)
    except Unreadable as error:
        _fail(str(error))
    except MemoryError:
        _fail("it needs more memory than reading is allowed")
    except BrokenPipeError:
        sys.exit(1)  # the other end has seen enough
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        # What Pillow and FFmpeg raise for a damaged file; their words carry addresses and paths.
        _fail(f"damaged, or not a picture or video ({type(error).__name__})")


def _fail(reason: str) -> None:
    sys.stdout.buffer.write(json.dumps({"error": reason}).encode() + b"\n")
    sys.stdout.buffer.flush()
    sys.exit(1)


if __name__ == "__main__":
    main()
