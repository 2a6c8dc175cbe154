"""Solvers: from noise to data along a velocity field, over a given list of levels.

Every solver has the signature `solver(velocity, x, sigmas, on_step=None) -> x`. The velocity is a callable, so
guidance, conditions and the model itself stay outside. Two properties hold for all of them:

* An element whose velocity is always 0 keeps its value bit for bit. Known tokens rely on it. The updates are
  therefore written as steps from x towards the predicted clean sample m = x - sigma v, which is x itself there,
  and not in the papers' form (sigma_t / sigma_s) x - alpha_t (e^-h - 1) m, which is equal but rounds.
* Coefficients are Python floats. No float64 tensor reaches the device, and MPS has none.

Letters, as in the papers: s and t are the levels at a step's two ends, s > t, with alpha = 1 - sigma;
lambda = log(alpha / sigma); h = lambda_t - lambda_s; B(h) = e^-h - 1; m the predicted clean samples, m0 at s.
Tensors have any shape. x is float32 or float64; the velocity may come in a smaller type.
"""

from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from math import expm1, inf, log
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from hibari.flow.times import HIGHEST_LEVEL

Velocity = Callable[[Tensor, float], Tensor]
"""v(x, sigma): the velocity at x, whose unknown elements all are at level sigma."""

OnStep = Callable[[int, Tensor], None]
"""Called as on_step(index, x) after each step, index from 0; whatever it raises ends the walk."""


Walk = Generator[tuple[Tensor, float], Tensor, Tensor]
"""A solver on its way: it yields where it stands (x, sigma), is sent the velocity there, and returns the end.

Who sends is free to visit several walks in turn: frames of one video may each be on their own.
"""

StartWalk = Callable[[Tensor, Tensor | Sequence[float]], Walk]
"""walk(x, sigmas)."""


class Solver(Protocol):
    """What each entry of SOLVERS is."""

    def __call__(
        self, velocity: Velocity, x: Tensor, sigmas: Tensor | Sequence[float], on_step: OnStep | None = None
    ) -> Tensor: ...


def euler_walk(x: Tensor, sigmas: Tensor | Sequence[float]) -> Walk:
    """Euler's method: x moves along v for the length of each interval."""
    for s, t in _intervals(x, sigmas):
        v = yield x, s
        x = x + (t - s) * v.to(x.dtype)
    return x


def dpmpp_2m_walk(x: Tensor, sigmas: Tensor | Sequence[float]) -> Walk:
    """DPM-Solver++(2M), the midpoint form; first order in the first and in the last step.

    Source: Lu et al. 2022, arXiv 2211.01095, algorithm 2.
    """
    intervals = _intervals(x, sigmas)
    earlier: _Known | None = None
    for index, (s, t) in enumerate(intervals):
        v = yield x, s
        known = _Known(s, x - s * v.to(x.dtype))
        x = _predict(x, known, earlier if index < len(intervals) - 1 else None, t)
        earlier = known
    return x


def unipc_walk(x: Tensor, sigmas: Tensor | Sequence[float]) -> Walk:
    """UniPC of order 2 with B(h) = e^-h - 1 ("bh2"): a predictor step, which the next velocity then corrects.

    The order falls to 1 in the first and in the last step. The last step is not corrected: that would take one
    more velocity. Its predictor is the one of DPM-Solver++(2M). Source: Zhao et al. 2023, arXiv 2302.04867.
    """
    intervals = _intervals(x, sigmas)
    done: _Step | None = None
    for index, (s, t) in enumerate(intervals):
        v = yield x, s
        known = _Known(s, x - s * v.to(x.dtype))
        if done is not None:
            x = _correct(done, known)
        earlier = done.known if done is not None and index < len(intervals) - 1 else None
        done = _Step(x, known, earlier)
        x = _predict(x, known, earlier, t)
    return x


WALKS: dict[str, StartWalk] = {"unipc": unipc_walk, "dpmpp_2m": dpmpp_2m_walk, "euler": euler_walk}
"""Every solver as a walk, by the name that a request gives."""


def solver_of(start: StartWalk) -> Solver:
    """The solver that takes a walk to its end along one velocity field."""

    def solve(velocity: Velocity, x: Tensor, sigmas: Tensor | Sequence[float], on_step: OnStep | None = None) -> Tensor:
        walk = start(x, sigmas)
        place, index = next(walk), 0
        while True:
            try:
                place = walk.send(velocity(*place))
            except StopIteration as end:
                x = end.value
                break
            if on_step is not None:
                on_step(index, place[0])
            index += 1
        if on_step is not None:
            on_step(index, x)
        return x

    return solve


SOLVERS: dict[str, Solver] = {name: solver_of(walk) for name, walk in WALKS.items()}
"""Every solver by the name that a request gives."""

unipc, dpmpp_2m, euler = (SOLVERS[name] for name in ("unipc", "dpmpp_2m", "euler"))


class _Known(NamedTuple):
    """A level that was visited, and the clean sample that the model predicted there."""

    sigma: float
    m: Tensor


class _Step(NamedTuple):
    """A predictor step: where it left from, what it knew there, and what it used from the step before."""

    x: Tensor
    known: _Known
    earlier: _Known | None


def _intervals(x: Tensor, sigmas: Tensor | Sequence[float]) -> list[tuple[float, float]]:
    """The steps' two ends, from levels that must fall strictly within [0, 1]."""
    levels = [float(sigma) for sigma in (sigmas.tolist() if isinstance(sigmas, Tensor) else sigmas)]
    steps = list(pairwise(levels))
    assert x.dtype in (torch.float32, torch.float64), f"a solver sums many small steps: {x.dtype} is too coarse"
    assert steps and levels[0] <= 1 and levels[-1] >= 0 and all(s > t for s, t in steps), levels
    return steps


def _lambda(sigma: float) -> float:
    """log(alpha / sigma), half the log-SNR; taken at HIGHEST_LEVEL for pure noise, where it is not finite."""
    sigma = min(sigma, HIGHEST_LEVEL)
    return inf if sigma == 0 else log((1 - sigma) / sigma)


def _slope(known: _Known, earlier: _Known, h: float) -> Tensor:
    """D1, the change of m over one step of size h, from the two latest predictions."""
    ratio = (_lambda(earlier.sigma) - _lambda(known.sigma)) / h
    return (earlier.m - known.m) / ratio


def _predict(x: Tensor, known: _Known, earlier: _Known | None, t: float) -> Tensor:
    """From x at known.sigma to level t: to first order, and to second where an earlier prediction is given."""
    s = known.sigma
    at_t = torch.lerp(x, known.m, 1 - t / s)
    if earlier is None:
        return at_t
    h = _lambda(t) - _lambda(s)
    return at_t - (1 - t) * expm1(-h) * 0.5 * _slope(known, earlier, h)


def _correct(done: _Step, now: _Known) -> Tensor:
    """The end of a predictor step, computed again with the prediction `now` that was made at that end."""
    s, t = done.known.sigma, now.sigma
    h = _lambda(t) - _lambda(s)
    b = expm1(-h)
    change = now.m - done.known.m
    if done.earlier is None:
        change = 0.5 * change
    else:
        # rho and its partner solve [[1, 1], [ratio, 1]] rho = (phi_2, phi_3): the order conditions for two points.
        phi_2 = (b / -h - 1) / b
        phi_3 = 2 * ((b / -h - 1) / -h - 0.5) / b
        ratio = (_lambda(done.earlier.sigma) - _lambda(s)) / h
        rho = (phi_2 - phi_3) / (1 - ratio)
        change = rho * _slope(done.known, done.earlier, h) + (phi_2 - rho) * change
    return torch.lerp(done.x, done.known.m, 1 - t / s) - (1 - t) * b * change
