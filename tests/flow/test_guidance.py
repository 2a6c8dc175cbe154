"""Classifier-free guidance. Under 1 second."""

import torch

from hibari.flow.guidance import guide


def test_scale_moves_from_uncond_through_cond() -> None:
    cond, uncond = torch.randn(4, 5), torch.randn(4, 5)
    assert torch.equal(guide(cond, uncond, 0.0), uncond)
    torch.testing.assert_close(guide(cond, uncond, 1.0), cond)
    torch.testing.assert_close(guide(cond, uncond, 5.0), 5 * cond - 4 * uncond, atol=1e-5, rtol=1e-5)


def test_where_both_agree_nothing_changes() -> None:
    """Known tokens have no velocity under either prompt, and must keep it so."""
    velocity = torch.randn(4, 5)
    assert torch.equal(guide(velocity, velocity, 7.5), velocity)
