"""Frames to hashes: PDQ, 256 bits, of a frame each half second, bars trimmed, with its mirror image.

The hash itself is `pdq.py`'s. Two pictures are taken for alike at a Hamming distance of at most 31 of 256 bits, which
is PDQ's own advice; unrelated ones differ in about 128.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from hibari.media.fit import Frame
from hibari.provenance.fingerprint.pdq import pdq

STEP_S = 0.5
MAX_DISTANCE = 31
MIN_QUALITY = 50  # PDQ's own advice: below it a frame has too few edges to be told from others
SOURCE_DISTANCE = 2 * MAX_DISTANCE
"""Whatever lies within MAX_DISTANCE of a source is then farther than that from every hash that takes part."""

LOW_QUALITY, OF_SOURCE = "quality", "source"
_SIDE = 320  # 5 pixels for each that PDQ looks at, and 3 in its filter: odd numbers keep mirror images exact
_BAR_SPREAD, _BAR_SHIFT = 8, 6  # levels of luma, standard deviation and mean, that encoders add to a line of a bar
_BAR_DRIFT = 1  # levels between its outer and its inner half: a clear sky has one colour along each line, but fades
_LEAST_BAR = 0.02  # of a side: a narrower one hardly changes a hash
_BOX_FRAMES = 16  # of a clip, evenly spread, that say where its bars are
_LEAST_PART = 0.2  # of a side: what is left between bars is a picture, not a line


@dataclass(frozen=True, kw_only=True)
class FrameHash:
    """The hash of one frame: 32 bytes, 32 of its mirror image, and a quality of 0 to 100.

    `left_out` says why it takes no part in matching ("quality", "source"); empty where it does. The mirror image is
    for searching and is not kept.
    """

    seconds: float
    bits: bytes
    mirrored: bytes
    quality: int
    left_out: str = ""


def hashes_of(frames: Iterable[Frame], fps: float) -> list[FrameHash]:
    """The hashes of a clip (uint8 frames at `fps`; a picture is one frame at any rate), to keep or to search for.

    Where a clip has bars, both the whole frame and the part between them are hashed, at the same second.
    """
    sampled = [
        (index / fps, _square(Image.fromarray(frame).convert("L"))) for index, frame in _every_half_second(frames, fps)
    ]
    if not sampled:
        return []
    spread = np.linspace(0, len(sampled) - 1, min(len(sampled), _BOX_FRAMES)).round().astype(int)
    box = content_box(np.stack([sampled[place][1] for place in spread]))
    hashes = []
    for seconds, luma in sampled:
        hashes.append(_hash(luma, seconds))
        if box is not None:
            top, bottom, left, right = box
            hashes.append(_hash(_square(Image.fromarray(luma[top:bottom, left:right])), seconds))
    return hashes


def leave_out_sources(hashes: Sequence[FrameHash], sources: Sequence[FrameHash]) -> list[FrameHash]:
    """The hashes of a generation, those that look like its sources' frames marked: a source's owner may have a copy."""
    if not hashes or not sources:
        return list(hashes)
    own = np.frombuffer(b"".join(each.bits for each in hashes), np.uint64).reshape(len(hashes), 4)
    seen = b"".join(each.bits + each.mirrored for each in sources)
    theirs = np.frombuffer(seen, np.uint64).reshape(2 * len(sources), 4)
    distances = np.bitwise_count(own[:, None] ^ theirs).sum(axis=-1).min(axis=1)
    return [
        replace(each, left_out=OF_SOURCE) if distance <= SOURCE_DISTANCE else each
        for each, distance in zip(hashes, distances.tolist(), strict=True)
    ]


def content_box(luma_NHW: np.ndarray) -> tuple[int, int, int, int] | None:
    """What lies between bars that all frames share: top, bottom, left, right; None where there are no bars.

    A bar starts at the edge and has one colour, in every frame the same.
    """
    height, width = luma_NHW.shape[1:]
    top, bottom = _between_bars(luma_NHW.transpose(1, 0, 2).reshape(height, -1))
    between = luma_NHW[:, top:bottom]
    left, right = _between_bars(between.transpose(2, 0, 1).reshape(width, -1))
    box = top, bottom, left, right
    return box if box != (0, height, 0, width) else None


def _between_bars(lines: np.ndarray) -> tuple[int, int]:
    """Where the picture starts and ends along one side; `lines` holds all pixels of each line, of all frames."""
    mean, spread = lines.mean(axis=1), lines.std(axis=1)
    start, end = _bar(mean, spread), len(lines) - _bar(mean[::-1], spread[::-1])
    return (start, end) if end - start >= _LEAST_PART * len(lines) else (0, len(lines))


def _bar(mean: np.ndarray, spread: np.ndarray) -> int:
    """How many lines from the edge on are a bar."""
    count = int(np.logical_and.accumulate((spread <= _BAR_SPREAD) & (abs(mean - mean[0]) <= _BAR_SHIFT)).sum())
    if count < max(2, _LEAST_BAR * len(mean)):
        return 0
    half = count // 2
    return count if abs(mean[:half].mean() - mean[half:count].mean()) <= _BAR_DRIFT else 0


def _every_half_second(frames: Iterable[Frame], fps: float) -> Iterable[tuple[int, Frame]]:
    step = 0
    for index, frame in enumerate(frames):
        if index >= round(step * STEP_S * fps):
            yield index, frame
            while round(step * STEP_S * fps) <= index:
                step += 1


def _square(luma: Image.Image) -> np.ndarray:
    """Brightness as PDQ is given it, whatever the size of the copy: uint8 (_SIDE, _SIDE)."""
    return np.asarray(luma.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))


def _hash(luma: np.ndarray, seconds: float) -> FrameHash:
    made = pdq(luma)
    left_out = LOW_QUALITY if made.quality < MIN_QUALITY else ""
    return FrameHash(seconds=seconds, bits=made.bits, mirrored=made.mirrored, quality=made.quality, left_out=left_out)
