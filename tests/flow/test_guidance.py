"""Classifier-free guidance, alone and batched. Under 1 second."""

import torch
from torch import Tensor

from hibari.flow.guidance import guide, guided
from hibari.flow.solver import unipc
from hibari.flow.times import schedule


def test_scale_moves_from_uncond_through_cond() -> None:
    cond, uncond = torch.randn(4, 5), torch.randn(4, 5)
    assert torch.equal(guide(cond, uncond, 0.0), uncond)
    torch.testing.assert_close(guide(cond, uncond, 1.0), cond)
    torch.testing.assert_close(guide(cond, uncond, 5.0), 5 * cond - 4 * uncond, atol=1e-5, rtol=1e-5)


def test_batched_guidance_equals_two_calls() -> None:
    def one(x: Tensor, sigma: float, target: float) -> Tensor:
        return torch.tanh(x - target) + sigma

    def pair(x_2: Tensor, sigma: float) -> Tensor:
        assert torch.equal(x_2[0], x_2[1])
        return torch.stack((one(x_2[0], sigma, 1.0), one(x_2[1], sigma, -1.0)))

    def separately(x: Tensor, sigma: float) -> Tensor:
        return guide(one(x, sigma, 1.0), one(x, sigma, -1.0), 3.0)

    x, sigmas = torch.randn(3, 4), schedule(5, 3.0)
    assert torch.equal(unipc(guided(pair, 3.0), x, sigmas), unipc(separately, x, sigmas))
