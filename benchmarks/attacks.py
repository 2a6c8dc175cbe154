"""What happens to a clip on its way through the world: encoders, sizes, crops, frames around it, screenshots.

    python benchmarks/attacks.py CLIP.mp4 ATTACKED.mp4 crop_small_crf28

Does that to a file, so that the outcome can be looked at; `--list` names them all. `watermark.py` runs them over marked
clips. Unless its name says otherwise, a copy ends in H.264 at CRF 23 (x264, preset medium), as a site would store it.
"""

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from PIL import Image, ImageDraw

from hibari.media.encode import X264, write_video

Frames = np.ndarray  # uint8 (T, H, W, 3)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Frames and their rate."""

    frames: Frames
    fps: float


def coded(copy: Copy, encoder: str = "libx264", crf: int = 23, preset: str = "medium") -> Copy:
    """Through an encoder and back."""
    height, width = (side // 2 * 2 for side in copy.frames.shape[1:3])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        options = {"crf": str(crf), "preset": preset}
        if encoder == "libx265":
            options["x265-params"] = "log-level=none"
        elif encoder == "libx264":
            options["x264-params"] = X264  # so that a copy is the same at every run
        stream = out.add_stream(encoder, rate=Fraction(copy.fps).limit_denominator(1001), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in copy.frames:
            picture = np.ascontiguousarray(frame[:height, :width])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    file.seek(0)
    return Copy(frames=decoded(file), fps=copy.fps)


def decoded(file: io.BytesIO | Path) -> Frames:
    """All frames of a file of ours."""
    with av.open(file if isinstance(file, io.BytesIO) else str(file)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def delivered(copy: Copy) -> Copy:
    """As Hibari writes files."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, copy.frames, round(copy.fps))
        return Copy(frames=decoded(path), fps=copy.fps)


def changed(copy: Copy, change: Callable[[Image.Image], Image.Image]) -> Copy:
    """Every frame through a change."""
    frames = [np.asarray(change(Image.fromarray(frame))) for frame in copy.frames]
    return Copy(frames=np.stack(frames), fps=copy.fps)


def resized(copy: Copy, across: float, down: float | None = None) -> Copy:
    """Another size, bicubic as most players and sites do."""
    height, width = copy.frames.shape[1:3]
    size = (round(width * across / 2) * 2, round(height * (down or across) / 2) * 2)
    return changed(copy, lambda picture: picture.resize(size, Image.Resampling.BICUBIC))


def cropped(copy: Copy) -> Copy:
    """A tenth off each way, more of it at the left and the top."""
    height, width = copy.frames.shape[1:3]
    top, left = round(0.07 * height), round(0.08 * width)
    return Copy(frames=copy.frames[:, top : top + round(0.9 * height), left : left + round(0.9 * width)], fps=copy.fps)


def slower(copy: Copy) -> Copy:
    """Three of five frames."""
    keep = [index for index in range(len(copy.frames)) if index % 5 in (0, 2, 3)]
    return Copy(frames=copy.frames[keep], fps=copy.fps * 0.6)


def trimmed(copy: Copy) -> Copy:
    """One second from the middle."""
    length = min(len(copy.frames), round(copy.fps))
    start = (len(copy.frames) - length) // 2
    return Copy(frames=copy.frames[start : start + length], fps=copy.fps)


def graded(copy: Copy) -> Copy:
    """Gamma 0.8, then 15% more contrast."""
    levels = (np.arange(256) / 255) ** 0.8
    table = np.clip(255 * ((levels - 0.5) * 1.15 + 0.5), 0, 255).round().astype(np.uint8)
    return Copy(frames=table[copy.frames], fps=copy.fps)


def letterboxed(copy: Copy) -> Copy:
    """Shrunk into a square with black bars."""
    height, width = copy.frames.shape[1:3]
    side = min(height, width) // 2 * 2
    small = resized(copy, side / max(height, width))
    high, wide = small.frames.shape[1:3]
    boxed = np.zeros((len(copy.frames), side, side, 3), np.uint8)
    top, left = (side - high) // 2, (side - wide) // 2
    boxed[:, top : top + high, left : left + wide] = small.frames
    return Copy(frames=boxed, fps=copy.fps)


def portrait(copy: Copy) -> Copy:
    """The 9:16 middle."""
    height, width = copy.frames.shape[1:3]
    keep = round(height * 9 / 16)
    left = (width - keep) // 2
    return Copy(frames=copy.frames[:, :, left : left + keep], fps=copy.fps)


def logo(copy: Copy) -> Copy:
    """A box with words over 4% of the frame."""
    height, width = copy.frames.shape[1:3]

    def stamp(picture: Image.Image) -> Image.Image:
        corner = (round(0.76 * width), round(0.05 * height), round(0.96 * width), round(0.25 * height))
        pencil = ImageDraw.Draw(picture)
        pencil.rectangle(corner, fill=(250, 250, 250))
        pencil.text((corner[0] + 4, corner[1] + 4), "NEWS 24", fill=(200, 0, 0))
        return picture

    return changed(copy, stamp)


def turned(copy: Copy, degrees: float = 2.0) -> Copy:
    """Turned about the middle, black where nothing is left."""
    return changed(copy, lambda picture: picture.rotate(degrees, Image.Resampling.BICUBIC))


def gif(copy: Copy) -> Copy:
    """A GIF: half the frames, at most 480 across, 256 colours and dither."""
    height, width = copy.frames.shape[1:3]
    across = min(480, width)
    size = (across, round(height * across / width))
    pictures = [Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC) for frame in copy.frames[::2]]
    palette = pictures[len(pictures) // 2].quantize(256, Image.Quantize.MEDIANCUT)
    frames = [np.asarray(picture.quantize(palette=palette).convert("RGB")) for picture in pictures]
    return Copy(frames=np.stack(frames), fps=copy.fps / 2)


def screenshot(copy: Copy, index: int | None = None, quality: int = 85) -> Copy:
    """One frame of a CRF 23 copy as a JPEG."""
    frame = copy.frames[len(copy.frames) // 2 if index is None else index]
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality)
    return Copy(frames=np.asarray(Image.open(file))[None], fps=1.0)


ATTACKS: dict[str, Callable[[Copy], Copy]] = {
    "none": lambda copy: copy,
    "crf23": coded,
    "crf28": lambda copy: coded(copy, crf=28),
    "crf33": lambda copy: coded(copy, crf=33),
    "hevc30": lambda copy: coded(copy, "libx265", 30),
    "half": lambda copy: coded(resized(copy, 0.5)),
    "three_quarters": lambda copy: coded(resized(copy, 0.75)),
    "crop": lambda copy: coded(cropped(copy)),
    "crop_small_crf28": lambda copy: coded(resized(cropped(copy), 0.75), crf=28),
    "15fps": lambda copy: coded(slower(copy)),
    "one_second": lambda copy: coded(trimmed(copy)),
    "flip": lambda copy: coded(Copy(frames=copy.frames[:, :, ::-1], fps=copy.fps)),
    "gamma_contrast": lambda copy: coded(graded(copy)),
    "letterbox": lambda copy: coded(letterboxed(copy)),
    "portrait": lambda copy: coded(portrait(copy)),
    "logo": lambda copy: coded(logo(copy)),
    "rotate2": lambda copy: coded(turned(copy)),
    "squeeze4": lambda copy: coded(resized(copy, 0.96, 1.0)),
    "gif": gif,
    "screenshot": lambda copy: screenshot(coded(copy)),
}


def main() -> None:
    """Attack a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("target", type=Path, nargs="?")
    parser.add_argument("attack", choices=list(ATTACKS), nargs="?")
    parser.add_argument("--list", action="store_true", help="name the attacks")
    given = parser.parse_args()
    if given.list or not given.attack:
        print("\n".join(ATTACKS))
        return
    with av.open(str(given.source)) as container:
        fps = float(container.streams.video[0].average_rate or 24)
    made = ATTACKS[given.attack](Copy(frames=decoded(given.source), fps=fps))
    write_video(
        given.target, made.frames[:, : made.frames.shape[1] // 2 * 2, : made.frames.shape[2] // 2 * 2], round(made.fps)
    )


if __name__ == "__main__":
    main()
