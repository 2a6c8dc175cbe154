"""Windows and the order of steps in them: those of diffusers' SkyReels-V2, and walks of frames that are on their own.

About 7 seconds, most of them diffusers' import.
"""

from collections.abc import Sequence

import pytest
import torch
from diffusers import SkyReelsV2DiffusionForcingPipeline
from torch import Tensor

from hibari.catalog import Rolling
from hibari.flow.solver import SOLVERS, WALKS
from hibari.flow.times import schedule
from hibari.generate.conditions import KnownFrames, State, apply_all
from hibari.generate.rolling import Way, roll, starts, walk_rows
from hibari.generate.windows import Window, plan_windows, step_rows
from hibari.shapes import LatentShape

STEPS = 6
SIGMAS = [float(sigma) for sigma in schedule(STEPS, 3.0)]


@pytest.mark.parametrize("frames", [2, 6, 12])
@pytest.mark.parametrize(("block", "lag"), [(1, 0), (1, 1), (1, 4), (2, 0), (2, 2), (2, 9)])
@pytest.mark.parametrize("known", [0, 2])
def test_rows_are_those_of_diffusers(frames: int, block: int, lag: int, known: int) -> None:
    if known == frames:
        return
    template = torch.arange(STEPS, 0, -1) * 100
    _, index, update, _ = SkyReelsV2DiffusionForcingPipeline.generate_timestep_matrix(
        None, frames, template, frames, lag, known, block
    )
    rows = step_rows(frames, STEPS, Rolling(window=99, history=block, block=block, lag=lag), known)
    assert torch.equal(torch.tensor(rows), index)
    before = torch.tensor([(STEPS + 1 if frame < known else 0) for frame in range(frames)])
    for row, wanted in zip(torch.tensor(rows), update, strict=True):
        assert torch.equal((row != before) & (row != STEPS + 1), wanted)
        before = row


@pytest.mark.parametrize("frames", range(1, 40))
def test_windows_cover_a_video_once_and_reach_back(frames: int) -> None:
    rolling = Rolling(window=9, history=3)
    windows = plan_windows(frames, STEPS, rolling)
    made = [frame for window in windows for frame in range(window.start + window.known, window.stop)]
    assert made == list(range(frames))
    assert all(window.frames <= 9 and window.known == (3 if window.start else 0) for window in windows)
    assert len(windows) == (1 if frames <= 9 else 1 + -(-(frames - 9) // 6))
    assert all(window.rows == STEPS for window in windows), "without a lag"


def test_a_minute_is_planned_at_once() -> None:
    windows = plan_windows(361, 30, Rolling(window=25, history=5, block=5, lag=5))
    assert len(windows) == 18 and windows[0].rows == 30 + 4 * 5 and windows[-1].stop == 361


def field(x: Tensor, sigmas: float | Sequence[float]) -> Tensor:
    """A made-up velocity that depends on the place and on each frame's level."""
    level = sigmas if isinstance(sigmas, float) else x.new_tensor(sigmas)[:, None, None]
    return torch.sin(3 * x) + x * level


def way(solver: str, rolling: Rolling, windows: tuple[Window, ...] = ()) -> Way:
    return Way(windows=windows, rolling=rolling, sigmas=SIGMAS, start=WALKS[solver], seed=3)


def start(frames: int) -> Tensor:
    return torch.randn(2, frames, 3, 4, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("solver", SOLVERS)
def test_frames_together_are_the_solver_itself(solver: str) -> None:
    rows = step_rows(5, STEPS, Rolling())
    made = walk_rows(field, start(5), rows, way(solver, Rolling()))
    assert torch.equal(made, SOLVERS[solver](field, start(5), SIGMAS))


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_frame_takes_every_step_of_its_own(solver: str) -> None:
    """With a field that sees no other frame, the order is of no account."""
    rolling = Rolling(history=2, block=2, lag=2)
    told: list[int] = []
    made = walk_rows(field, start(6), step_rows(6, STEPS, rolling), way(solver, rolling), told.append)
    torch.testing.assert_close(made, SOLVERS[solver](field, start(6), SIGMAS))
    assert told == list(range(STEPS + 4))


def test_known_frames_stay_and_references_are_beside_every_window() -> None:
    rolling = Rolling(window=4, history=2, noise=0.1)
    windows = plan_windows(8, STEPS, rolling, known=1)
    known, seen = torch.full((2, 1, 3, 4), 5.0), []

    def field_of(state: State) -> object:
        def told(x: Tensor, sigmas: float | Sequence[float]) -> Tensor:
            seen.append((x[:, :2].clone(), state.looked_T))
            return field(x, sigmas) * state.scale_THW

        return told

    shape = LatentShape(2, 8, 3, 4)
    state_of = starts(shape, [KnownFrames(known)], 7, torch.device("cpu"))
    made = roll(way("unipc", rolling, windows), state_of, field_of)  # type: ignore[arg-type]  # it is one
    assert made.shape == (2, 8, 3, 4) and torch.equal(made[:, :1], known)
    assert len(seen) == sum(window.rows for window in windows) == 3 * STEPS
    (first, looked), (later, after) = seen[0], seen[STEPS]
    assert looked is not None and after is not None
    assert [round(float(each), 3) for each in looked] == [0.1, 0, 0, 0]
    assert [round(float(each), 3) for each in after] == [0.1, 0.1, 0, 0]
    assert not torch.equal(first[:, 0], known[:, 0]), "it is looked at through noise"
    assert (later - made[:, 2:4]).abs().mean() < 0.8, "and is still to be seen"
    assert not torch.equal(later, seen[STEPS + 1][0]), "which is new each time"


def test_the_noise_of_one_window_is_that_of_a_seed() -> None:
    shape = LatentShape(2, 8, 3, 4)
    state = starts(shape, (), 7, torch.device("cpu"))(Window(0, 0, 8, 1), None)
    drawn = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(7))
    assert torch.equal(state.latent_CTHW, drawn)
    assert torch.equal(apply_all([], state).scale_THW, torch.ones(8, 3, 4))
