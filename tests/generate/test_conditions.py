"""What is known stays, what is half known is redrawn half way, whatever the solver. Under a second."""

import pytest
import torch
from torch import Tensor

from hibari.flow.path import interpolate
from hibari.flow.solver import SOLVERS
from hibari.flow.times import schedule
from hibari.generate.conditions import KnownFrames, State, apply_all


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_condition_changes_its_frames_alone() -> None:
    noise, known = numbers(4, 3, 2, 2), numbers(4, 1, 2, 2, seed=1)
    state = KnownFrames(known, start=1).apply(State.from_noise(noise))
    assert torch.equal(state.latent_CTHW[:, 1:2], known)
    assert torch.equal(state.latent_CTHW[:, [0, 2]], noise[:, [0, 2]])
    assert state.scale_THW[:, 0, 0].tolist() == [1, 0, 1]


def test_the_later_condition_stands_over_the_earlier() -> None:
    first, second = numbers(4, 2, 2, 2, seed=1), numbers(4, 1, 2, 2, seed=2)
    state = apply_all(
        [KnownFrames(first), KnownFrames(second, start=1, level=1.0)], State.from_noise(numbers(4, 3, 2, 2))
    )
    assert torch.equal(state.latent_CTHW[:, :1], first[:, :1])
    assert torch.equal(state.latent_CTHW[:, 1:2], first[:, 1:]), (
        "level 1 forgets the known frame and keeps what was there"
    )
    assert state.scale_THW[:, 0, 0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_walks_a_half_known_frame_to_its_end(name: str) -> None:
    """With a field that always points at one clean sample, every position arrives there from its own level."""
    clean, known = numbers(4, 3, 2, 2, seed=3), numbers(4, 1, 2, 2, seed=4)
    state = apply_all([KnownFrames(known, start=1, level=0.5)], State.from_noise(numbers(4, 3, 2, 2)))

    def velocity(x: Tensor, sigma: float) -> Tensor:
        level = (sigma * state.scale_THW).clamp_min(1e-9)
        return (x - clean) / level * state.scale_THW

    end = SOLVERS[name](velocity, state.latent_CTHW, schedule(8, 3.0))
    torch.testing.assert_close(end, clean, atol=2e-3, rtol=0)


def test_the_start_of_a_half_known_frame_is_on_the_path() -> None:
    noise, known = numbers(4, 1, 2, 2), numbers(4, 1, 2, 2, seed=1)
    state = KnownFrames(known, level=0.3).apply(State.from_noise(noise))
    torch.testing.assert_close(state.latent_CTHW, interpolate(known, noise, 0.3))
