"""The second half of `hibari train mini-fast`: the student, on stretches of recorded walks.

The student is the teacher with low-rank pairs beside its linear layers, or with all its weights free. It is told the
level at a stretch's beginning, as the sampler tells it, and learns the mean velocity to the stretch's end. Run by
`recipes.fast`.

Legend: C channels, T H W latent axes, L tokens, F latent frames of the pack, P numbers in a patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hibari.data.plan import PackPlan, draw_pack
from hibari.data.trajectories import TrajectoryPart
from hibari.flow.times import NUM_TIMESTEPS, timestep_of
from hibari.model.dit import WanDiT
from hibari.model.packing import pack
from hibari.recipes.fast_walks import PATCH, Start, field
from hibari.shapes import PackLayout
from hibari.train.loop import Hooks, LoopConfig, train
from hibari.train.low_rank import LowRank
from hibari.train.objective import flow_loss, spread_frames
from hibari.train.optim import OptimConfig

BARE = ("patch_embedding",)  # is published as a convolution, which not every reader of LoRA files knows
MEASURED = 8  # walks of each part


@dataclass(frozen=True, kw_only=True)
class StudentRecipe:
    """Training of the student. `rank` of the pairs; 0 trains all weights instead, to see what a rank costs."""

    rank: int = 32
    pack: PackPlan = PackPlan(tokens=4096, frames_share=((1, 0.15), (7, 0.65), (17, 0.2)), reference_share=0.0)
    seed: int = 5
    loop: LoopConfig = LoopConfig(
        optim=OptimConfig(lr=5e-4, steps=3000, warmup=50, clip=1.0, ema=0.995, weight_decay=0.0),
        measure_every=250,
        checkpoint_seconds=120.0,
    )


@dataclass(frozen=True)
class Stretches:
    """A pack of stretches: states, the mean velocities from there, and what the model is told of each."""

    states_LP: Tensor
    velocities_LP: Tensor
    levels_F: Tensor
    layout: PackLayout
    texts: list[Tensor]


def as_student(dit: WanDiT, rank: int, seed: int) -> nn.Module:
    """What is trained of a transformer: pairs of a rank, which its layers then ask, or with rank 0 the whole of it."""
    torch.manual_seed(seed)
    weight = dit.proj_out.weight
    if not rank:
        return dit.cast(weight.dtype)
    return LowRank(dit, rank, BARE).to(weight.device, weight.dtype)


def train_student(
    out: Path,
    recipe: StudentRecipe,
    dit: WanDiT,
    trained: nn.Module,
    parts: Sequence[TrajectoryPart],
    unseen: Sequence[TrajectoryPart],
) -> dict[str, Tensor]:
    """Train what is `trained` of the transformer; it comes back with its averaged weights, which are given in fp32."""
    device = dit.proj_out.weight.device

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        generator = torch.Generator().manual_seed(recipe.seed * 10**9 + step)
        draws = draw_pack(parts, recipe.pack, recipe.seed, step)
        which = torch.rand(len(draws), generator=generator).tolist()
        chosen = [(parts[draw.part], draw.clip, each) for draw, each in zip(draws, which, strict=True)]
        batch = gather([(part, walk, int(each * part.stretches)) for part, walk, each in chosen], device)
        return _loss(dit, batch), {"tokens": batch.layout.num_tokens}

    return train(trained, out, recipe.loop, Hooks(loss, partial(measure_student, dit, unseen, device))).averaged()


def gather(chosen: Sequence[tuple[TrajectoryPart, int, int]], device: torch.device) -> Stretches:
    """The stretches (part, walk, number), those of one grid next to each other."""
    states_LP, layout = pack([part.states[walk, k].to(device) for part, walk, k in chosen], PATCH)
    velocities_LP, _ = pack([part.velocities[walk, k].to(device) for part, walk, k in chosen], PATCH)
    levels = [
        (~part.known[walk]).float() * (timestep_of(float(part.levels[k])) / NUM_TIMESTEPS) for part, walk, k in chosen
    ]
    layout = PackLayout(layout.grids, tuple(part.beside for part, _, _ in chosen))
    texts = [part.prompt(walk).to(device) for part, walk, _ in chosen]
    return Stretches(states_LP, velocities_LP.float(), torch.cat(levels).to(device), layout, texts)


@torch.no_grad()
def measure_student(
    dit: WanDiT, parts: Sequence[TrajectoryPart], device: torch.device, _step: int = 0
) -> dict[str, Any]:
    """Of held-out walks the loss of each stretch, and how far the student's own ends are from the teacher's.

    `end` is the mean square of the difference over that of the teacher's ends; 1 is as far as zeros are.
    """
    chosen = [(part, walk) for part in parts for walk in range(min(MEASURED, len(part)))]
    losses: dict[str, Any] = {}
    for k in range(min(part.stretches for part in parts)):
        batch = gather([(part, walk, k) for part, walk in chosen], device)
        losses[f"loss_{k}"] = round(_loss(dit, batch).item(), 4)
    losses["mean"] = round(sum(losses.values()) / len(losses), 4)
    wrong = norm = 0.0
    for part in parts:
        walks = range(min(MEASURED, len(part)))
        ends, _ = pack([part.end(walk) for walk in walks], PATCH)
        made = walk_alone(dit, part, walks, device)
        wrong += float((made - ends.to(device)).square().sum())
        norm += float(ends.square().sum())
    return losses | {"end": round(wrong / norm, 4)}


def walk_alone(dit: WanDiT, part: TrajectoryPart, walks: Sequence[int], device: torch.device) -> Tensor:
    """The ends (L,P) of the student's own walks from where the recorded ones began."""
    batch = gather([(part, walk, 0) for walk in walks], device)
    known_F = torch.cat([part.known[walk] for walk in walks]).to(device)
    x_LP = batch.states_LP.float()
    velocity = field(dit, Start(x_LP, batch.layout, known_F, batch.texts))
    levels = part.levels.tolist()
    for k in range(part.stretches):
        x_LP = x_LP - (levels[k] - levels[k + 1]) * velocity(x_LP, levels[k])
    return x_LP


def _loss(dit: WanDiT, batch: Stretches) -> Tensor:
    levels_L = spread_frames(batch.levels_F, batch.layout)
    predicted_LP = dit(batch.states_LP.float(), batch.layout, batch.levels_F, dit.encode_text(batch.texts))
    return flow_loss(predicted_LP, batch.velocities_LP, levels_L)
