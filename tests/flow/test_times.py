"""Schedules against diffusers', and the draws of training. About 3 seconds, most of them the import of diffusers."""

import pytest
import torch
from diffusers import UniPCMultistepScheduler

from hibari.flow.times import (
    HIGHEST_LEVEL,
    LevelDraw,
    draw_levels,
    schedule,
    shift_for,
    shift_levels,
    timestep_of,
)


@pytest.mark.parametrize("shift", [1.0, 1.7, 3.0, 5.0, 8.0])
def test_schedule_and_timesteps_are_those_of_unipc(shift: float) -> None:
    theirs = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    for steps in range(1, 61):
        theirs.set_timesteps(steps)
        ours = schedule(steps, shift)
        assert ours.dtype == torch.float64
        assert torch.equal(ours.float(), theirs.sigmas), steps
        assert [timestep_of(level) for level in ours[:-1].tolist()] == theirs.timesteps.tolist(), steps


def test_the_first_level_is_the_float32_number_that_unipc_computes_with() -> None:
    assert torch.tensor(1 - 1e-6, dtype=torch.float64).float().item() == HIGHEST_LEVEL
    assert timestep_of(HIGHEST_LEVEL) == 999


def test_shift_keeps_the_ends_and_composes() -> None:
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    shifted = shift_levels(t, 3.0)
    assert shifted[0] == 0 and shifted[-1] == 1 and bool((shifted[1:-1] > t[1:-1]).all())
    torch.testing.assert_close(shift_levels(shift_levels(t, 3.0), 2.0), shift_levels(t, 6.0))
    assert shift_levels(0.5, 3.0) == 0.75


def test_shift_grows_with_the_root_of_the_tokens() -> None:
    assert shift_for(1000, base_tokens=1000, base_shift=3.0) == 3.0
    assert shift_for(4000, base_tokens=1000, base_shift=3.0) == 6.0


def test_draws_are_seeded_and_inside_the_interval() -> None:
    draw = LevelDraw(uniform_share=0.3, shift=3.0)
    first = draw_levels(4096, torch.Generator().manual_seed(7), draw)
    again = draw_levels(4096, torch.Generator().manual_seed(7), draw)
    assert torch.equal(first, again) and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1


def test_logit_normal_draws_have_the_given_mean_and_deviation() -> None:
    levels = draw_levels(40_000, torch.Generator().manual_seed(1), LevelDraw(mean=0.4, std=0.8))
    logits = torch.logit(levels)
    assert abs(logits.mean().item() - 0.4) < 0.02 and abs(logits.std().item() - 0.8) < 0.02


def test_a_uniform_share_of_one_is_uniform() -> None:
    levels = draw_levels(40_000, torch.Generator().manual_seed(2), LevelDraw(uniform_share=1.0))
    counts = torch.histc(levels, bins=10, min=0, max=1) / 4000
    assert bool((counts - 1).abs().max() < 0.06)
