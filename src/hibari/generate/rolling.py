"""Walking along a plan of windows: every latent frame on its own way from noise to clean, window after window.

Memory is that of one window and of the latents made so far; what was made is never encoded again.

Legend: C channels, T H W latent axes, F latent frames of a window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from hibari.catalog import Rolling
from hibari.flow.path import interpolate
from hibari.flow.solver import StartWalk, Walk
from hibari.generate.conditions import Condition, KnownFrames, References, State, apply_all
from hibari.generate.velocity import Field
from hibari.generate.windows import Row, Window, step_rows
from hibari.shapes import LatentShape

OnRow = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a video is walked: its windows, the levels of each frame's steps from first to last, and the solver.

    `seed` is that of the noise through which history is looked at.
    """

    windows: Sequence[Window]
    rolling: Rolling
    sigmas: Sequence[float]
    start: StartWalk
    seed: int


def roll(
    way: Way,
    state_of: Callable[[Window, Tensor | None], State],
    field_of: Callable[[State], Field],
    on_row: OnRow | None = None,
) -> Tensor:
    """The latent (C,T,H,W) of all windows.

    `state_of(window, made)` says where a window starts, with the end of what was made as its first frames, and
    `field_of` is its velocity field. `on_row(done)` is called after each visit of the model.
    """
    made_CTHW: Tensor | None = None
    done, veil = 0, torch.Generator("cpu").manual_seed(way.seed)
    for window in way.windows:
        state = state_of(window, made_CTHW)
        level = way.rolling.noise if len(way.windows) > 1 and window.known else 0.0
        if level:
            looked_T = state.scale_THW.new_zeros(len(state.scale_THW))
            looked_T[: window.known] = level
            state = replace(state, looked_T=looked_T)
        field = field_of(state)
        if level:
            field = _veiled(field, window.known, level, veil)
        rows = step_rows(window.frames, len(way.sigmas) - 1, way.rolling, window.known)

        def after(index: int, before: int = done) -> None:
            if on_row is not None:
                on_row(before + index + 1)

        end_CTHW = walk_rows(field, state.latent_CTHW, rows, way, after)
        new_CTHW = end_CTHW[:, window.known if made_CTHW is not None else 0 : window.frames]
        made_CTHW = new_CTHW if made_CTHW is None else torch.cat([made_CTHW, new_CTHW], dim=1)
        done += len(rows)
    assert made_CTHW is not None, "a plan has a window"
    return made_CTHW


def starts(
    shape: LatentShape,
    conditions: Sequence[Condition],
    seed: int,
    device: torch.device,
    noise_CTHW: Tensor | None = None,
) -> Callable[[Window, Tensor | None], State]:
    """Where each window starts: noise drawn one window after the other, and what is known in front.

    The first window has the conditions, the others the end of what was made before; all have the reference pictures.
    The first window's noise may be given.
    """
    source = torch.Generator("cpu").manual_seed(seed)

    def state_of(window: Window, made_CTHW: Tensor | None) -> State:
        if made_CTHW is None and noise_CTHW is not None:
            drawn_CTHW = noise_CTHW
        else:
            drawn_CTHW = torch.randn(tuple(shape._replace(frames=window.frames)), generator=source)
        state = State.from_noise(drawn_CTHW.to(device, torch.float32))
        if made_CTHW is None:
            return apply_all(conditions, state)
        references = [each for each in conditions if isinstance(each, References)]
        return apply_all([KnownFrames(made_CTHW[:, -window.known :]), *references], state)

    return state_of


def walk_rows(field: Field, x_CTHW: Tensor, rows: Sequence[Row], way: Way, on_row: OnRow | None = None) -> Tensor:
    """A window's latent at the end of its rows; frames beyond those of the rows are references, and stay."""
    steps, count = len(way.sigmas) - 1, len(rows[0])
    levels = [way.sigmas[0], *way.sigmas[:-1], 0.0]  # of each place in the schedule
    stretches = _stretches(x_CTHW, rows, way)
    x_CTHW = x_CTHW.clone()
    for index, (before, row) in enumerate(pairwise([(0,) * count, *rows])):
        v_CTHW = field(x_CTHW, [levels[place] for place in row] + [0.0] * (x_CTHW.shape[1] - count))
        for stretch in stretches:
            place = row[stretch.frames.start]
            if place not in (before[stretch.frames.start], steps + 1):
                assert stretch.level == levels[place], "each frame takes every step"
                x_CTHW[:, stretch.frames] = stretch.step(v_CTHW[:, stretch.frames])
        if on_row is not None:
            on_row(index)
    return x_CTHW


class _Stretch:
    """Neighbouring frames that take their steps together, and the solver that takes them."""

    def __init__(self, frames: slice, walk: Walk) -> None:
        self.frames, self._walk = frames, walk
        _, self.level = next(walk)

    def step(self, v_CTHW: Tensor) -> Tensor:
        """Where the frames are once they have gone along their velocity."""
        try:
            x_CTHW, self.level = self._walk.send(v_CTHW)
        except StopIteration as end:
            x_CTHW, self.level = end.value, 0.0
        return x_CTHW


def _stretches(x_CTHW: Tensor, rows: Sequence[Row], way: Way) -> list[_Stretch]:
    """The stretches of a window; frames that are done from the start on are in none."""
    columns = list(zip(*rows, strict=True))
    edges = [0, *(at for at in range(1, len(columns)) if columns[at] != columns[at - 1]), len(columns)]
    found = [slice(*pair) for pair in pairwise(edges) if columns[pair[0]][0] < len(way.sigmas)]
    return [_Stretch(frames, way.start(x_CTHW[:, frames], way.sigmas)) for frames in found]


def _veiled(field: Field, known: int, level: float, veil: torch.Generator) -> Field:
    """The same field, which sees the first `known` frames through noise of this level, anew at each visit.

    So what follows does not take over what went wrong before it. Source: SkyReels-V2, its `addnoise_condition`.
    """

    def veiled(x_CTHW: Tensor, sigmas: float | Sequence[float]) -> Tensor:
        known_CTHW = x_CTHW[:, :known]
        noise_CTHW = torch.randn(known_CTHW.shape, generator=veil).to(known_CTHW)
        return field(torch.cat([interpolate(known_CTHW, noise_CTHW, level), x_CTHW[:, known:]], dim=1), sigmas)

    return veiled
