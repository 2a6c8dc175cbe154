"""Which clips a step trains on: a pure function of the seed and the step's number.

So there is no loader state to save, a resumed run sees the same batches, and any number of workers
agree on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from hibari.shapes import Grid


class Part(Protocol):
    """What is drawn from: as many clips as it is long, all of one latent grid, with some captions each."""

    def __len__(self) -> int: ...

    @property
    def grid(self) -> Grid: ...

    @property
    def captions_each(self) -> int: ...

    @property
    def references(self) -> Tensor | None: ...


@dataclass(frozen=True, kw_only=True)
class PackPlan:
    """How a step's pack is filled.

    tokens: at most so many in a pack. frames_share: the share of the pack's tokens given to clips by their
    number of latent frames, as (up to frames, share) pairs in ascending order, such as ((1, 0.3), (6, 0.5), (16, 0.2)).
    reference_share: of the clips that have a reference picture, the share that is shown it.
    grids: grids in a pack of each kind; fewer grids make longer runs, which is faster.
    """

    tokens: int = 8192
    frames_share: tuple[tuple[int, float], ...] = ((1, 0.4), (16, 0.6))
    reference_share: float = 0.1
    grids: int = 2


@dataclass(frozen=True)
class Draw:
    """One clip of a pack: which part, which clip of it, which caption, and whether its reference is shown."""

    part: int
    clip: int
    caption: int
    reference: bool


def draw_pack(parts: Sequence[Part], plan: PackPlan, seed: int, step: int) -> list[Draw]:
    """The clips of one step, those of equal grid next to each other."""
    rng = np.random.default_rng((seed, step))
    draws: list[Draw] = []
    above = 0
    for frames, share in plan.frames_share:
        fitting: dict[Grid, list[int]] = {}
        for i, part in enumerate(parts):
            if above < part.grid.frames <= frames:
                fitting.setdefault(part.grid, []).append(i)
        above = frames
        if not fitting or share <= 0:
            continue
        grids = sorted(fitting)
        weights = np.array([sum(len(parts[i]) for i in fitting[g]) * g.tokens for g in grids], dtype=float)
        chosen = rng.choice(len(grids), size=min(plan.grids, len(grids)), replace=False, p=weights / weights.sum())
        for g in sorted(chosen):
            draws += _draw_grid(parts, fitting[grids[g]], int(plan.tokens * share / len(chosen)), plan, rng)
    return draws


def _draw_grid(
    parts: Sequence[Part], members: list[int], tokens: int, plan: PackPlan, rng: np.random.Generator
) -> list[Draw]:
    grid = parts[members[0]].grid
    sizes = np.array([len(parts[i]) for i in members], dtype=float)
    drawn = []
    for _ in range(max(1, tokens // grid.tokens)):
        i = members[int(rng.choice(len(members), p=sizes / sizes.sum()))]
        clip, caption = int(rng.integers(len(parts[i]))), int(rng.integers(parts[i].captions_each))
        reference = parts[i].references is not None and rng.random() < plan.reference_share
        drawn.append(Draw(i, clip, caption, reference))
    # Clips with a reference have one frame more: put them together, so that runs stay long.
    return sorted(drawn, key=lambda d: d.reference)
