"""A VAE over several devices, laid on from outside: each rank works on a stretch of the picture's rows.

Before each convolution neighbours exchange the one row that its kernel sees beyond their edge, so that the result is
that of one device, and time and memory fall with the number of ranks. Rows are split where a latent row ends. Streaming
works as ever. Tiles of `tiling.py` and this exclude each other. Inference only.

Legend: B batch, C channels, T H W frames, rows, columns.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hibari.model.parallel import Ranks
from hibari.model.vae import WanVAE
from hibari.model.vae_layers import Downsample, FrameAttention

ROWS = -2


def split_rows(vae: WanVAE, ranks: Ranks) -> None:
    """Make a VAE work on this rank's rows; what goes in and comes out stays whole, and equal on all ranks."""
    space = vae.config.scale_factor_spatial // (vae.config.patch_size or 1)
    _split(vae.encoder, ranks, taken=space)
    _split(vae.decoder, ranks, taken=1)
    for module in [*vae.encoder.modules(), *vae.decoder.modules()]:
        if isinstance(module, FrameAttention):
            _whole_inside(module, ranks)
        elif isinstance(module, Downsample):
            module.resample[0] = _PadBelow(ranks)
        elif isinstance(module, nn.Conv2d | nn.Conv3d) and module.padding[ROWS] == 1:
            sides = [int(side) for side in module.padding]
            sides[ROWS] = 0
            module.padding = tuple(sides)
            module.register_forward_pre_hook(partial(_with_neighbours, ranks))


class _PadBelow(nn.Module):
    """A column of zeros to the right, and below the next rank's first row, or zeros where there is none."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks

    def forward(self, x: Tensor) -> Tensor:
        _, below = _neighbour_rows(x, self.ranks)
        return F.pad(torch.cat([x, below], dim=ROWS), (0, 1))


def _with_neighbours(ranks: Ranks, _: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *others = given
    above, below = _neighbour_rows(x, ranks)
    return (torch.cat([above, x, below], dim=ROWS), *others)


def _neighbour_rows(x: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor]:
    """The last row of the rank above and the first of the one below; zeros beyond the picture."""
    first, last = x[..., :1, :], x[..., -1:, :]
    near = {ranks.rank - 1: first, ranks.rank + 1: last}
    parts = [near.get(rank, x[..., :0, :]) for rank in range(ranks.size)]
    taken = ranks.exchange(parts, [tuple(part.shape) for part in parts])
    edge = torch.zeros_like(first)
    above = taken[ranks.rank - 1] if ranks.rank > 0 else edge
    below = taken[ranks.rank + 1] if ranks.rank < ranks.size - 1 else edge
    return above, below


def _split(coder: nn.Module, ranks: Ranks, *, taken: int) -> None:
    """Rows are taken apart at the entrance of an encoder or decoder and put together at its exit.

    `taken` is how many rows of its input one latent row is.
    """

    def enter(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = inputs
        rows = x.shape[ROWS] // taken
        assert rows >= ranks.size, f"{rows} rows of latents over {ranks.size} ranks"
        mine = ranks.parts(rows)[ranks.rank]
        return (x[..., mine.start * taken : mine.stop * taken, :], *others)

    coder.register_forward_pre_hook(enter)
    coder.register_forward_hook(lambda _, __, part: _all_rows(part, ranks))


def _whole_inside(layer: nn.Module, ranks: Ranks) -> None:
    """A layer that sees whole frames: every rank works on all rows, and keeps its own."""
    layer.register_forward_pre_hook(lambda _, inputs: (_all_rows(inputs[0], ranks),))
    layer.register_forward_hook(lambda _, __, whole: whole[..., ranks.parts(whole.shape[ROWS])[ranks.rank], :])


def _all_rows(x: Tensor, ranks: Ranks) -> Tensor:
    """The rows of all ranks, which may have different numbers of them."""
    counts = ranks.gather(torch.tensor([x.shape[ROWS]], device=x.device), [1] * ranks.size)
    return ranks.gather(x, counts.tolist(), dim=x.ndim + ROWS)
