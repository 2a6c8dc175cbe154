"""Clips of different sizes laid into one token sequence, and taken out of it again.

A token is one patch of a latent; its numbers are ordered (pt, ph, pw, C), the order in which Wan's
last layer emits them, so that what goes into the transformer and what comes out of it line up.

Legend: C channels, T H W latent axes, L tokens of the whole pack, P numbers in a patch.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from hibari.shapes import Grid, PackLayout

Patch = tuple[int, int, int]


def pack(latents: Sequence[Tensor], patch: Patch) -> tuple[Tensor, PackLayout]:
    """Lay latents (C,T,H,W) of any sizes into one sequence of patches (L,P), in the order given."""
    pt, ph, pw = patch
    parts, grids = [], []
    for latent_CTHW in latents:
        channels, t, h, w = latent_CTHW.shape
        assert t % pt == 0 and h % ph == 0 and w % pw == 0, f"{t}x{h}x{w} does not divide into patches {patch}"
        grid = Grid(t // pt, h // ph, w // pw)
        cells = latent_CTHW.reshape(channels, grid.frames, pt, grid.height, ph, grid.width, pw)
        parts.append(cells.permute(1, 3, 5, 2, 4, 6, 0).reshape(grid.tokens, channels * prod(patch)))
        grids.append(grid)
    return torch.cat(parts), PackLayout(tuple(grids))


def unpack(patches_LP: Tensor, layout: PackLayout, channels: int, patch: Patch) -> list[Tensor]:
    """Undo `pack`: one latent (C,T,H,W) for each clip of the layout."""
    assert patches_LP.shape == (layout.num_tokens, channels * prod(patch)), patches_LP.shape
    pt, ph, pw = patch
    latents = []
    for part, grid in zip(patches_LP.split([grid.tokens for grid in layout.grids]), layout.grids, strict=True):
        cells = part.reshape(*grid, pt, ph, pw, channels).permute(6, 0, 3, 1, 4, 2, 5)
        latents.append(cells.reshape(channels, grid.frames * pt, grid.height * ph, grid.width * pw))
    return latents
