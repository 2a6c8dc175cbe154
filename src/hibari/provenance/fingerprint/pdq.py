"""PDQ, the perceptual hash of a picture: 256 bits that change little where the picture changes little.

Our own, in numpy, from its published description: "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing
Algorithm" (Facebook, 2019) and the reference beside it, which is BSD-licensed:
https://github.com/facebook/ThreatExchange/tree/main/pdq. Bits and their order are those of the reference, so hashes of
both can be compared. Which frames are hashed, and what a distance means, is `frames.py`'s business.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SIDE = 64  # what any picture is brought to
BANDS = 16  # of frequencies along each side; the constant one is not among them
LEAST_PIXELS = 5  # of a side: the reference hashes nothing smaller
_PASSES = 2  # of a box filter, which together are a tent: Wojciech Jarosz, "Fast Image Convolutions" (2001)
_PER_QUALITY = 90  # steps of 1% between neighbours, summed, that make one unit of quality


@dataclass(frozen=True, kw_only=True)
class PdqHash:
    """32 bytes of the picture, 32 of its mirror image (left and right changed), and a quality of 0 to 100."""

    bits: bytes
    mirrored: bytes
    quality: int


def pdq(luma_HW: np.ndarray) -> PdqHash:
    """The hash of brightness from 0 to 255, of any number type; each side has LEAST_PIXELS or more.

    Filtering, decimation and the cosine transform are linear and act on each axis alone, so each is one matrix.
    """
    height, width = luma_HW.shape
    assert min(height, width) >= LEAST_PIXELS, luma_HW.shape
    small = _reduction(height) @ luma_HW.astype(np.float64) @ _reduction(width).T
    cosines = _cosines()
    bands = cosines @ small @ cosines.T
    # Mirroring a picture turns the sign of the odd frequencies along it; the first of the bands is such a one.
    mirrored = bands * np.where(np.arange(BANDS) % 2 == 0, -1.0, 1.0)
    return PdqHash(bits=_above_median(bands), mirrored=_above_median(mirrored), quality=_quality(small))


def _above_median(bands: np.ndarray) -> bytes:
    """A bit for each frequency: is it above the (lower) median of all? The highest frequencies come first."""
    middle = np.partition(bands, bands.size // 2 - 1, axis=None)[bands.size // 2 - 1]
    return np.packbits(np.flip(bands > middle)).tobytes()


def _quality(small: np.ndarray) -> int:
    """How much there is to see: differences between neighbours in whole percents, so faint noise counts nothing."""
    steps = sum(int(np.trunc(np.abs(np.diff(small, axis=axis)) * (100 / 255)).sum()) for axis in (0, 1))
    return min(steps // _PER_QUALITY, 100)


@lru_cache(maxsize=8)
def _reduction(length: int) -> np.ndarray:
    """The matrix (SIDE, length) that filters one axis and takes SIDE evenly spaced places of it."""
    if length == SIDE:
        return np.eye(SIDE)
    window = -(-length // (2 * SIDE))
    ahead = (window + 2) // 2  # an even window reaches one farther back than ahead
    places = np.arange(length)
    box = (places >= places[:, None] - (window - ahead)) & (places < places[:, None] + ahead)
    filtered = np.linalg.matrix_power(box / box.sum(axis=1, keepdims=True), _PASSES)
    return np.ascontiguousarray(filtered[((np.arange(SIDE) + 0.5) * length / SIDE).astype(int)])


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """The matrix (BANDS, SIDE) of the cosine transform (DCT-II) from its second row on."""
    frequencies, places = np.arange(1, BANDS + 1)[:, None], 2 * np.arange(SIDE) + 1
    return np.sqrt(2 / SIDE) * np.cos(np.pi / (2 * SIDE) * frequencies * places)
