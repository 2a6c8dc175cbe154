"""Rotary position embedding over time, height and width, with Wan's split of the head width.

A head of K numbers is K/2 complex pairs. Height and width take 2*(K//6) numbers each, time takes the
rest; within each share the frequencies fall from 1 to 1/theta (Su et al. 2021; Wan, arXiv 2503.20314).

Legend: L tokens, K head width, J = K/2 complex pairs.
"""

import torch
from torch import Tensor

from hibari.shapes import Grid

THETA = 10000.0
REFERENCE_GAP = 16


def split_head(head_width: int) -> tuple[int, int, int]:
    """How many numbers of a head turn with time, height and width."""
    side = 2 * (head_width // 6)
    return head_width - 2 * side, side, side


def rotations(grid: Grid, head_width: int, device: torch.device, dtype: torch.dtype, references: int = 0) -> Tensor:
    """Unit complex numbers (L,1,J) by which the tokens of one clip turn their queries and keys.

    The angles are taken in float64 where the device has it; complex64 comes back, or complex128
    for a float64 model. The last `references` frames are pictures outside the clip's time: they stand
    REFERENCE_GAP frames after its end.
    """
    angle_dtype = torch.float32 if device.type == "mps" else torch.float64
    tables = []
    for axis, (length, width) in enumerate(zip(grid, split_head(head_width), strict=True)):
        exponents = torch.arange(0, width, 2, dtype=angle_dtype, device=device) / width
        places = torch.arange(length, dtype=angle_dtype, device=device)
        if axis == 0 and references:
            places[length - references :] += REFERENCE_GAP
        angles = torch.outer(places, THETA**-exponents)
        shape = [1, 1, 1, -1]
        shape[axis] = length
        tables.append(angles.view(shape).expand(*grid, -1))
    angles_LJ = torch.cat(tables, dim=-1).reshape(grid.tokens, 1, head_width // 2)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    return torch.polar(torch.ones_like(angles_LJ), angles_LJ).to(torch.promote_types(real, torch.complex64))
