"""The straight path and its velocity. Under 1 second."""

import torch

from hibari.flow.path import interpolate, velocity, x0_from


def test_the_ends_of_the_path_are_exact() -> None:
    x0, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(interpolate(x0, noise, 0.0), x0)
    assert torch.equal(interpolate(x0, noise, 1.0), noise)


def test_velocity_is_the_derivative_of_the_path() -> None:
    x0, noise = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    slope = (interpolate(x0, noise, 0.75) - interpolate(x0, noise, 0.25)) / 0.5
    torch.testing.assert_close(velocity(x0, noise), slope)


def test_every_token_may_have_its_own_level() -> None:
    x0, noise = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    levels = torch.linspace(0, 1, 6, dtype=torch.float64)[:, None]
    x_t = interpolate(x0, noise, levels)
    for token, level in enumerate(levels[:, 0].tolist()):
        torch.testing.assert_close(x_t[token], interpolate(x0[token], noise[token], level))
    torch.testing.assert_close(x0_from(x_t, velocity(x0, noise), levels), x0)
