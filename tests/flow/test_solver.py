"""Solver trajectories against diffusers' schedulers. About 4 seconds, most of them the import of diffusers.

How each scheduler there finds its own levels (0.42): UniPC, evenly from 1 to 1/1000, shifted, then 0; flow Euler,
evenly from 1 to its smallest sigma inclusive, shifted once more; DPM++, evenly from 0.999 down, shifted. The
trajectories are compared on one list, that of `hibari.flow.times.schedule`, handed to each of them.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from hibari.flow.solver import SOLVERS, Solver, dpmpp_2m, euler, unipc
from hibari.flow.times import schedule

SHAPE = (2, 3, 2, 4, 4)


def field(x: Tensor, sigma: float) -> Tensor:
    """A smooth velocity that is linear neither in x nor in the level, and mixes neighbours."""
    return torch.sin(1.3 * x + 2.0 * sigma) + 0.4 * x.roll(1, -1) * (1.0 - sigma) - 0.3 * torch.tanh(x) * sigma**2


def their_euler(sigmas: Tensor) -> Any:
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=sigmas[:-1].tolist())
    return scheduler


def their_unipc(sigmas: Tensor) -> Any:
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2)
    return with_sigmas(scheduler, sigmas)


def their_dpmpp(sigmas: Tensor) -> Any:
    scheduler = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, algorithm_type="dpmsolver++", solver_order=2
    )
    return with_sigmas(scheduler, sigmas)


def with_sigmas(scheduler: Any, sigmas: Tensor) -> Any:
    """These two shift any list they are given, or take none; their steps read only this attribute and a count."""
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = sigmas.float()
    return scheduler


def walk(scheduler: Any, x: Tensor) -> list[Tensor]:
    """Every x that the scheduler visits after the first."""
    visited = []
    scheduler.set_begin_index(0)
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas.tolist(), strict=False):
        x = scheduler.step(field(x, sigma), timestep, x, return_dict=False)[0]
        visited.append(x)
    return visited


PAIRS = [(euler, their_euler), (unipc, their_unipc), (dpmpp_2m, their_dpmpp)]


# diffusers passes a tensor expression to np.array, which NumPy 2.4 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("steps", "shift"), [(1, 3.0), (2, 1.0), (3, 3.0), (8, 5.0), (20, 3.0), (30, 1.0)])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_trajectory_equals_diffusers(
    ours: Solver, theirs: Callable[[Tensor], Any], steps: int, shift: float, dtype: torch.dtype
) -> None:
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(steps), dtype=dtype)
    sigmas = schedule(steps, shift)
    expected = walk(theirs(sigmas), x)
    visited: list[Tensor] = []
    # Their sigmas are float32: the same ones here, so that only the arithmetic is compared.
    last = ours(field, x, sigmas.float(), on_step=lambda _, x_t: visited.append(x_t))
    assert len(visited) == len(expected) == steps and visited[-1] is last
    for x_t, x_t_expected in zip(visited, expected, strict=True):
        torch.testing.assert_close(x_t, x_t_expected.to(dtype), atol=1e-5, rtol=1e-5)


def test_a_walk_may_stop_before_level_0_and_start_below_1() -> None:
    """Windows and partial strengths walk a part of a schedule."""
    sigmas, x = [0.7, 0.5, 0.3], torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    expected = walk(their_euler(torch.tensor([*sigmas, 0.0])), x)[1]
    torch.testing.assert_close(euler(field, x, sigmas), expected, atol=1e-5, rtol=1e-5)
    for solver in SOLVERS.values():
        assert (solver(field, x, sigmas) - expected).abs().max() < 0.05


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_higher_order_comes_closer_to_the_exact_solution(solver: Solver) -> None:
    x = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = euler(field, x, torch.linspace(0.9, 0.1, 4001, dtype=torch.float64))
    error = (solver(field, x, torch.linspace(0.9, 0.1, 13)) - exact).abs().max().item()
    coarse = (euler(field, x, torch.linspace(0.9, 0.1, 13)) - exact).abs().max().item()
    assert error < coarse / 4 if solver is not euler else error == coarse


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_an_element_with_no_velocity_keeps_its_bits(solver: Solver) -> None:
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4)) * 3
    known = torch.rand(SHAPE, generator=torch.Generator().manual_seed(5)) < 0.5
    x = torch.where(known & (x > 2), 1e-30, x)

    def masked(x_t: Tensor, sigma: float) -> Tensor:
        return field(x_t, sigma).masked_fill(known, 0.0)

    for steps in (1, 2, 7, 25):
        done = solver(masked, x, schedule(steps, 4.0))
        assert torch.equal(done[known], x[known])
        assert not torch.equal(done[~known], x[~known])


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_noise_at_level_1_exactly_is_walked_too(solver: Solver) -> None:
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(6))
    from_one = solver(field, x, [1.0, *schedule(6, 3.0)[1:].tolist()])
    torch.testing.assert_close(from_one, solver(field, x, schedule(6, 3.0)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_a_velocity_in_half_precision_leaves_x_in_float32(solver: Solver) -> None:
    def half(x_t: Tensor, sigma: float) -> Tensor:
        return field(x_t, sigma).bfloat16()

    assert solver(half, torch.randn(SHAPE), schedule(4, 3.0)).dtype == torch.float32


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_on_step_may_end_the_walk(solver: Solver) -> None:
    class Stop(Exception):
        pass

    seen = []

    def stop_at_third(index: int, _: Tensor) -> None:
        seen.append(index)
        if index == 2:
            raise Stop

    with pytest.raises(Stop):
        solver(field, torch.randn(SHAPE), schedule(9, 3.0), on_step=stop_at_third)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("sigmas", [[1.0], [0.5, 0.5, 0.0], [0.2, 0.4], [1.2, 0.0], [0.5, -0.1], [float("nan"), 0.0]])
def test_levels_must_fall_within_the_interval(sigmas: list[float]) -> None:
    with pytest.raises(AssertionError):
        unipc(field, torch.randn(SHAPE), sigmas)
