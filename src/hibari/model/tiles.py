"""Where the tiles of a frame lie, and how much of their neighbours they need. Numbers alone: no torch here."""

from itertools import pairwise
from math import ceil
from typing import NamedTuple

LEVELS = 2  # the finest levels of a VAE's pyramid, which are tiled
LEVELS_BY_TILE = 3  # where a tile goes through all of a clip, and what the coarser levels made of it is kept


class Span(NamedTuple):
    """Cells `start` to `stop` along one axis, which need those from `low` to `high`."""

    start: int
    stop: int
    low: int
    high: int


def tiled_levels(levels: int, by_tile: bool = False) -> int:
    """How many of a pyramid's levels are tiled; the coarsest never is."""
    return min(LEVELS_BY_TILE if by_tile else LEVELS, levels - 1)


def decoder_halo(tiled: int, blocks: int) -> int:
    """How far the finest `tiled` levels of a decoder see, in cells of the grid that they start from.

    `blocks` are the residual blocks of a level, with two convolutions each.
    """
    reach = 1 + 2 * blocks  # the last convolution, and those of the finest level
    for _ in range(tiled - 1):
        reach = ceil((reach + 1) / 2) + 2 * blocks
    return reach


def encoder_halo(levels: int, blocks: int) -> int:
    """How far the tiled levels of an encoder see, in cells of the finest grid; a multiple of what becomes one cell."""
    reach, cell = 0, 2 ** tiled_levels(levels)
    for _ in range(tiled_levels(levels)):
        reach = 2 * reach + 1 + 2 * blocks
    return ceil((reach + 1) / cell) * cell


def spans(length: int, tile: int, halo: int, multiple: int = 1) -> list[Span]:
    """An axis of `length` cells in nearly equal parts of at most `tile`, at multiples of `multiple`, with a halo."""
    units = length // multiple
    count = min(units, ceil(length / max(tile, multiple)))
    edges = [units * index // count * multiple for index in range(count + 1)]
    return [Span(a, b, max(0, a - halo), min(length, b + halo)) for a, b in pairwise(edges)]
