"""The pattern: signs on a ring of frequencies of a square tile that repeats over the frame, told by a key and an id.

Where the frequencies lie is the same for every key, so that a search measures a picture once for all of them; which
phases they have is the key's secret. A part of them is the same for every id (the pilots, by which a search finds size,
turn and place), the rest carries the id's 256 signs, each four or five times, at low and at high frequencies.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from hibari.provenance.watermark.code import CODE_BITS, encode
from hibari.provenance.watermark.keys import WatermarkKey

SIDE = 128  # pixels of a tile in a frame whose short side is at most CLASS
CLASS = 480  # above it the tile grows with the frame, so that a smaller copy is as good as a native one
INNER, OUTER = 5, 24  # rings of the tile's spectrum: 0.04 to 0.19 cycles a pixel, what video codecs keep
PILOT_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which frequencies are used: integer (n, 2) of rows and columns, in cycles a tile; half of the plane."""

    pilots: np.ndarray
    data: np.ndarray

    @property
    def everything(self) -> np.ndarray:
        """Pilots, then data."""
        return np.concatenate([self.pilots, self.data])


@cache
def layout() -> Layout:
    """The frequencies of every key; those on the axes, where straight edges and bars lie, are left out."""
    rows, columns = np.mgrid[-OUTER : OUTER + 1, 1 : OUTER + 1]
    places = np.stack([rows.ravel(), columns.ravel()], axis=1)
    radius = np.hypot(*places.T)
    places = places[(radius >= INNER) & (radius <= OUTER) & (places[:, 0] != 0)]
    order = np.argsort(_numbers(b"hibari watermark layout", len(places)), kind="stable")
    pilots = np.zeros(len(places), bool)
    pilots[order[: round(PILOT_SHARE * len(places))]] = True
    return Layout(pilots=places[pilots], data=places[~pilots])


class Pattern:
    """A key's secret phases."""

    def __init__(self, key: WatermarkKey) -> None:
        places = layout()
        quarter = _numbers(key.secret + b"pilots", len(places.pilots)) >> np.uint64(62)
        self.pilots = np.exp(1j * np.pi * (0.25 + quarter / 2)).astype(np.complex64)  # (pilots,)
        count = 2 * len(places.data)
        self.flips = (_numbers(key.secret + b"flips", count) >> np.uint64(63)).astype(np.float32) * 2 - 1
        # From the centre outwards in rounds of 256, so that each sign is told at every radius.
        outwards = np.argsort(np.repeat(np.hypot(*places.data.T), 2), kind="stable")
        order = _numbers(key.secret + b"order", count)
        self.places = np.empty(count, np.int64)
        for start in range(0, count, CODE_BITS):
            round_ = outwards[start : start + CODE_BITS]
            self.places[round_] = np.argsort(order[start : start + CODE_BITS], kind="stable")[: len(round_)] % CODE_BITS

    def data(self, value: int) -> np.ndarray:
        """The unit numbers of the data frequencies for an id: complex64 (data,)."""
        signs = encode(value)[self.places] * self.flips
        return ((signs[0::2] + 1j * signs[1::2]) / np.sqrt(2)).astype(np.complex64)

    def whole(self, value: int) -> np.ndarray:
        """Pilots, then data, for an id."""
        return np.concatenate([self.pilots, self.data(value)])

    def soft(self, seen: np.ndarray) -> np.ndarray:
        """What the data frequencies (complex, already weighted) say of each of the id's 256 signs."""
        parts = np.stack([seen.real, seen.imag], axis=1).ravel() * self.flips
        return np.bincount(self.places, parts, CODE_BITS).astype(np.float32)


def _numbers(seed: bytes, count: int) -> np.ndarray:
    """uint64 numbers that are the same for ever, on every machine: SHAKE-256 of the seed."""
    return np.frombuffer(hashlib.shake_256(seed).digest(8 * count), "<u8")
