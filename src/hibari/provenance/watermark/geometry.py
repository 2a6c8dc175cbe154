"""Which sizes, turns and squeezes a search tries: lattices of the tile's frequencies in the frequency plane.

A lattice is a 2 x 2 matrix that takes (row, column) in cycles a tile to (vertical, horizontal) cycles a pixel of the
frame at hand. Where a crop begins is no part of it: correlation finds that for all places at once.
"""

import math

import numpy as np

from hibari.provenance.watermark.tile import SIDE

SMALLEST, LARGEST = 0.35, 3.6  # sizes of a tile, in SIDEs
MOST_TURN = math.radians(3.2)
MOST_SQUEEZE = 0.06
# How far apart neighbouring lattices may be: the frame's edges lie this part of a tile from where they should.
STEP, WIDE_STEP = 0.04, 0.055


def upright(height: int, width: int) -> np.ndarray:
    """Lattices of plain copies of any size, and their mirror images: float32 (n, 2, 2)."""
    pitches = _pitches(max(height, width), STEP)
    return _with_mirrors(_lattices(pitches, pitches, np.zeros_like(pitches)))


def bent(height: int, width: int) -> np.ndarray:
    """Lattices that are turned by up to 3 degrees or squeezed by up to 6%, and their mirror images."""
    longest = max(height, width)
    parts = []
    for pitch in _pitches(longest, WIDE_STEP):
        step = WIDE_STEP * pitch / longest
        turns = step * np.arange(1, math.floor(MOST_TURN / step) + 1)
        turns = np.concatenate([-turns, turns])
        squeezes = step * np.arange(1, math.floor(MOST_SQUEEZE / step) + 1)
        squeezes = np.concatenate([-squeezes, squeezes]) / 2
        parts.append(_lattices(np.full_like(turns, pitch), np.full_like(turns, pitch), turns))
        parts.append(_lattices(pitch * np.exp(squeezes), pitch * np.exp(-squeezes), np.zeros_like(squeezes)))
    return _with_mirrors(np.concatenate(parts))


def neighbours(lattice: np.ndarray, step: float) -> np.ndarray:
    """A lattice and the 80 around it, (81, 2, 2): each way to bend it, by `step` more, less, or not."""
    ways = np.array(np.meshgrid(*[[0.0, -1.0, 1.0]] * 4, indexing="ij")).reshape(4, -1).T.reshape(-1, 2, 2)
    return ((np.eye(2) + step * ways) @ lattice).astype(np.float32)


def pitch_of(lattice: np.ndarray) -> float:
    """The side of a tile in pixels, the mean of both ways."""
    return float(abs(np.linalg.det(lattice)) ** -0.5)


def describe(lattice: np.ndarray) -> tuple[float, float, bool]:
    """Scale against SIDE, turn in degrees, and whether it is mirrored."""
    flipped = bool(np.linalg.det(lattice) < 0)
    straight = lattice * np.array([1, -1], np.float32) if flipped else lattice
    # The turn of the rotation that is nearest to the matrix.
    turn = math.degrees(math.atan2(straight[1, 0] - straight[0, 1], straight[0, 0] + straight[1, 1]))
    return pitch_of(lattice) / SIDE, turn, flipped


def _pitches(longest: int, step: float) -> np.ndarray:
    """Tile sizes from the largest to the smallest, each one step from the last."""
    pitches = [LARGEST * SIDE]
    while pitches[-1] > SMALLEST * SIDE:
        pitches.append(pitches[-1] * (1 - step * pitches[-1] / longest))
    return np.array(pitches)


def _lattices(vertical: np.ndarray, horizontal: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Matrices from tile sizes in pixels and turns in radians."""
    cosine, sine = np.cos(turns), np.sin(turns)
    rows = [np.stack([cosine / vertical, -sine / horizontal], -1), np.stack([sine / vertical, cosine / horizontal], -1)]
    return np.stack(rows, axis=-2).astype(np.float32)


def _with_mirrors(lattices: np.ndarray) -> np.ndarray:
    return np.concatenate([lattices, lattices * np.array([1, -1], np.float32)])
