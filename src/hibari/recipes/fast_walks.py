"""The first half of `hibari train mini-fast`: the teacher's walks, and of each what a student of few steps is to learn.

The teacher is the shipped model by its shipped sampler: solver, steps, guidance and shift of its card. Its walk is cut
into stretches at the levels of a shorter schedule, and the student's task at the beginning of each is the mean velocity
to its end: with that one Euler step per stretch arrives where the teacher does. So steps and guidance are distilled
at once (progressive distillation, Salimans and Ho 2022, arXiv 2202.00512; guidance, Meng et al. 2023, arXiv
2210.03142), and a sample costs the student one pass. In a later round the student itself walks, and the teacher says at
each of its states where it would have gone: the student learns to mend its own errors (Ross et al. 2011, arXiv
1011.0686). Run by `recipes.fast`.

Legend: C channels, T H W latent axes, L tokens, F latent frames of the pack, P numbers in a patch, K stretches.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from hibari.catalog import Model
from hibari.data.latents import LatentPart
from hibari.data.trajectories import TrajectoryPart, joined, save_trajectories
from hibari.errors import TrainingError
from hibari.flow.guidance import guide
from hibari.flow.solver import SOLVERS, Velocity
from hibari.flow.times import NUM_TIMESTEPS, schedule, shift_for, timestep_of
from hibari.model.dit import WanDiT
from hibari.model.packing import pack, unpack
from hibari.shapes import Grid, PackLayout, VideoShape
from hibari.train.objective import spread_frames

PATCH = (1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class WalkRecipe:
    """Which walks are made. parts: (width, height, frames, walks) of each, one for each clip of the latent cache.

    known_start, known_more: the share of the clips whose first latent frame is known (image to video), and of those
    where any number of the first ones is (extension). reference_share: of the files, those that show a reference
    picture. tokens: in one pass of the teacher, guidance's half included. at_once: walks in one file. most_gb: the
    most that one round may take on the disk.
    """

    parts: tuple[tuple[int, int, int, int], ...]
    known_start: float = 0.15
    known_more: float = 0.1
    reference_share: float = 0.1
    tokens: int = 4096
    at_once: int = 24
    most_gb: float = 8.0
    seed: int = 400


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """The model that is distilled, with the habits on its card."""

    model: Model
    dit: WanDiT
    empty_text: Tensor

    def levels(self, grid: Grid) -> list[float]:
        """The levels of the teacher's own schedule for clips of a grid."""
        card, area = self.model.card, grid.tokens_per_frame
        default = self.grid(card.sizes[0].width, card.sizes[0].height, 1).tokens_per_frame
        shift = self.model.flow_shift
        if card.shift_grows:
            shift = shift_for(area, base_tokens=default, base_shift=shift)
        return list(schedule(card.steps, shift).tolist())

    def grid(self, width: int, height: int, frames: int) -> Grid:
        """The latent grid of a video."""
        strides = self.model.strides
        return strides.grid(strides.latent(VideoShape(frames, height, width)))


@dataclass(frozen=True)
class _File:
    """What one file of walks is about: clips `first` to `first + count` of a part, the last `beside` frames of each
    of which are a reference picture.
    """

    name: str
    part: LatentPart
    seed: int
    first: int
    count: int
    beside: int


@dataclass(frozen=True)
class Start:
    """Where some walks of one grid begin: noise and what is known, in patches; and their prompts."""

    patches_LP: Tensor
    layout: PackLayout
    known_F: Tensor
    texts: list[Tensor]


def make_walks(
    out: Path, recipe: WalkRecipe, cache: Sequence[LatentPart], teacher: Teacher, steps: int, student: WanDiT | None
) -> None:
    """Write every file of walks that is not there yet; `student` None: the teacher walks. `steps` are the student's.

    Raises TrainingError where the cache has too few clips, or the walks would take too much of the disk.
    """
    files = list(_files(recipe, cache, teacher))
    size = sum(4 * steps * file.count * file.part.latents[0].numel() for file in files) / 1e9
    if size > recipe.most_gb:
        raise TrainingError(
            f"the walks would take {size:.1f} GB, and at most {recipe.most_gb:g} are allowed.",
            hint="Give fewer in walks.parts, or --set walks.most_gb=…",
        )
    for done, file in enumerate(files, 1):
        path = out / f"{file.name}.safetensors"
        if not path.exists():
            save_trajectories(path, _walk_file(file, recipe, teacher, steps, student))
            sys.stderr.write(f"walks {done}/{len(files)} {file.name}\n")


def walk(teacher: Velocity, solver: str, x: Tensor, levels: Sequence[float], steps: int) -> tuple[Tensor, Tensor]:
    """The states at the beginning of each of `steps` stretches, and the mean velocities over them: two (K, …)."""
    every = _every(levels, steps)
    places = [x]

    def keep(index: int, now: Tensor) -> None:
        if (index + 1) % every == 0:
            places.append(now)

    SOLVERS[solver](teacher, x, levels, keep)
    spans = [s - t for s, t in pairwise(levels[::every])]
    velocities = [(a - b) / span for (a, b), span in zip(pairwise(places), spans, strict=True)]
    return torch.stack(places[:-1]), torch.stack(velocities)


def walk_behind(
    teacher: Velocity, student: Velocity, solver: str, x: Tensor, levels: Sequence[float], steps: int
) -> tuple[Tensor, Tensor]:
    """The same where the student walks, by Euler steps, and the teacher starts anew at each of its states."""
    every = _every(levels, steps)
    states, velocities = [], []
    for first in range(0, len(levels) - 1, every):
        stretch = levels[first : first + every + 1]
        span = stretch[0] - stretch[-1]
        states.append(x)
        velocities.append((x - SOLVERS[solver](teacher, x, stretch)) / span)
        x = x - span * student(x, stretch[0])
    return torch.stack(states), torch.stack(velocities)


def field(dit: WanDiT, start: Start, empty_text: Tensor | None = None, guidance: float = 1.0) -> Velocity:
    """The velocity of many clips' patches at one level, what is known standing still; guided away from `empty_text`."""
    clips, layout = len(start.texts), start.layout
    texts, prompts = list(start.texts), list(range(clips))
    if guidance != 1:
        assert empty_text is not None, "guidance needs what to move away from"
        texts, prompts = [*texts, empty_text], [*prompts, *[clips] * clips]
        layout = PackLayout(layout.grids * 2, layout.references * 2)
    keys = dit.encode_text(texts).select(prompts)
    free_F = (~start.known_F).float()
    free_L1 = spread_frames(free_F, start.layout)[:, None]

    def velocity(x_LP: Tensor, level: float) -> Tensor:
        levels_F = free_F * (timestep_of(level) / NUM_TIMESTEPS)
        if guidance == 1:
            return dit(x_LP, layout, levels_F, keys) * free_L1
        prompted, bare = dit(torch.cat([x_LP, x_LP]), layout, levels_F.repeat(2), keys).chunk(2)
        return guide(prompted, bare, guidance) * free_L1

    return velocity


def _every(levels: Sequence[float], steps: int) -> int:
    assert (len(levels) - 1) % steps == 0, f"{len(levels) - 1} steps do not divide into {steps} stretches"
    return (len(levels) - 1) // steps


def _files(recipe: WalkRecipe, cache: Sequence[LatentPart], teacher: Teacher) -> Iterator[_File]:
    for number, (width, height, frames, walks) in enumerate(recipe.parts):
        grid = teacher.grid(width, height, frames)
        part = max((part for part in cache if part.grid == grid), key=len, default=None)
        if part is None or len(part) < walks:
            has = 0 if part is None else len(part)
            raise TrainingError(
                f"{walks} walks of {width}x{height}x{frames}, and the cache has {has} such clips.",
                hint="Give fewer in walks.parts, or leave out `latents`.",
            )
        for first in range(0, walks, recipe.at_once):
            seed = recipe.seed * 10**8 + number * 10**6 + first
            shown = torch.rand((), generator=torch.Generator().manual_seed(seed)) < recipe.reference_share
            yield _File(
                name=f"{number:03d}-{width}x{height}x{frames}-{first:06d}",
                part=part,
                seed=seed,
                first=first,
                count=min(recipe.at_once, walks - first),
                beside=int(part.references is not None and bool(shown)),
            )


@torch.inference_mode()
def _walk_file(file: _File, recipe: WalkRecipe, teacher: Teacher, steps: int, student: WanDiT | None) -> TrajectoryPart:
    levels = teacher.levels(file.part.grid)
    generator = torch.Generator().manual_seed(file.seed + 1)
    at_once = max(1, recipe.tokens // (2 * file.part.grid.tokens))
    states: list[Tensor] = []
    velocities: list[Tensor] = []
    known: list[Tensor] = []
    texts: list[Tensor] = []
    for first in range(file.first, file.first + file.count, at_once):
        clips = range(first, min(first + at_once, file.first + file.count))
        start = _start(file, clips, recipe, generator, teacher.empty_text.device)
        card = teacher.model.card
        led = field(teacher.dit, start, teacher.empty_text, card.guidance)
        if student is None:
            made = walk(led, card.solver, start.patches_LP, levels, steps)
        else:
            made = walk_behind(led, field(student, start), card.solver, start.patches_LP, levels, steps)
        states += _by_clip(made[0], start)
        velocities += _by_clip(made[1], start)
        known += start.known_F.view(len(clips), -1).unbind()
        texts += start.texts
    text, offsets = joined([each.cpu() for each in texts])
    return TrajectoryPart(
        states=torch.stack(states),
        velocities=torch.stack(velocities),
        levels=torch.tensor(levels, dtype=torch.float64)[:: _every(levels, steps)],
        known=torch.stack(known).cpu(),
        text=text,
        text_offsets=offsets,
        beside=file.beside,
    )


def _start(file: _File, clips: range, recipe: WalkRecipe, generator: torch.Generator, device: torch.device) -> Start:
    """Noise as bf16 holds it, in which some clips' first frames and the reference pictures are laid."""
    latents, known, texts = [], [], []
    for clip in clips:
        clean = file.part.latents[clip]
        frames = clean.shape[1]
        latent = torch.randn(clean.shape, generator=generator).to(clean.dtype)
        kind, depth, caption = torch.rand(3, generator=generator).tolist()
        count = 0
        if frames > 1 and kind < recipe.known_start + recipe.known_more:
            count = 1 if kind < recipe.known_start else 1 + int(depth * (frames - 1))
        latent[:, :count] = clean[:, :count]
        if file.beside:
            assert file.part.references is not None
            latent = torch.cat([latent, file.part.references[clip]], dim=1)
        latents.append(latent.float())
        known.append(torch.arange(frames + file.beside) < count)
        if file.beside:
            known[-1][-1] = True
        texts.append(file.part.states(clip, int(caption * file.part.captions_each)).to(device))
    patches_LP, layout = pack(latents, PATCH)
    layout = PackLayout(layout.grids, (file.beside,) * len(clips))
    return Start(patches_LP.to(device), layout, torch.cat(known).to(device), texts)


def _by_clip(stacked_KLP: Tensor, start: Start) -> list[Tensor]:
    """One (K,C,T,H,W) bf16 on the CPU for each clip."""
    stretches = [
        unpack(patches_LP.cpu(), start.layout, patches_LP.shape[1], PATCH) for patches_LP in stacked_KLP.bfloat16()
    ]
    return [torch.stack(list(clip)) for clip in zip(*stretches, strict=True)]
