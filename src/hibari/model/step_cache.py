"""Steps of a walk that take over what the step before computed, where the first block finds little changed.

A pass runs the first block. If what it adds differs from what it added in the last full pass by less than a threshold,
the other blocks are left out, and what they added then is added again. An approximation, never on by default: `hibari
evaluate shortcuts` measures it. The first-block form of TeaCache (Liu et al. 2024, arXiv 2411.19108), as ParaAttention
and diffusers have it.

Legend: L tokens, D width.
"""

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hibari.model.dit import WanDiT


@dataclass(eq=False)
class StepCache:
    """What is kept between the passes of one walk. `threshold` is relative: the mean change over the mean size."""

    threshold: float
    passes: int = 0
    reused: int = 0
    reuses: bool = False
    after_first_LD: Tensor | None = None
    first_LD: Tensor | None = None
    others_LD: Tensor | None = None

    def look(self, x_LD: Tensor, y_LD: Tensor) -> None:
        """Decide, from the first block's input and output, whether this pass takes over the other blocks' part."""
        added_LD, before_LD = y_LD - x_LD, self.first_LD
        self.reuses = False
        # A pass of another shape (guidance switched on or off) is not like the last one.
        if before_LD is not None and before_LD.shape == added_LD.shape:
            change = (added_LD - before_LD).abs().mean(dtype=torch.float32) / before_LD.abs().mean(dtype=torch.float32)
            self.reuses = bool(change < self.threshold)
        self.passes += 1
        self.reused += self.reuses
        if not self.reuses:
            self.first_LD, self.after_first_LD = added_LD, y_LD


def with_step_cache(dit: WanDiT, cache: StepCache) -> WanDiT:
    """A transformer of the same modules whose passes share this cache; the one that was given stays as it is."""
    assert len(dit.blocks) > 1, "there is nothing to leave out"
    view = copy(dit)
    # copy() shares the table of submodules, in which only the view's blocks are to be others.
    view.__dict__["_modules"] = dict(dit._modules)
    last = len(dit.blocks) - 1
    kinds = [_First, *[_Later] * (last - 1), _Last]
    view.blocks = nn.ModuleList(kind(block, cache) for kind, block in zip(kinds, dit.blocks, strict=True))
    return view


class _Later(nn.Module):
    """A block that is left out where the cache says so."""

    def __init__(self, block: nn.Module, cache: StepCache) -> None:
        super().__init__()
        self.block, self.cache = block, cache

    def forward(self, x_LD: Tensor, *inputs: Any) -> Tensor:
        return x_LD if self.cache.reuses else self.block(x_LD, *inputs)


class _First(_Later):
    """The block that always runs."""

    def forward(self, x_LD: Tensor, *inputs: Any) -> Tensor:
        y_LD: Tensor = self.block(x_LD, *inputs)
        self.cache.look(x_LD, y_LD)
        return y_LD


class _Last(_Later):
    """The block after which the others' part is known, or taken over."""

    def forward(self, x_LD: Tensor, *inputs: Any) -> Tensor:
        if self.cache.reuses:
            assert self.cache.others_LD is not None
            return x_LD + self.cache.others_LD
        y_LD: Tensor = self.block(x_LD, *inputs)
        assert self.cache.after_first_LD is not None
        self.cache.others_LD = y_LD - self.cache.after_first_LD
        return y_LD
