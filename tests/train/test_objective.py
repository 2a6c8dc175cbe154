"""Noise levels per frame, and losses that count what they should. About 2 s."""

import pytest
import torch

from hibari.shapes import Grid, PackLayout
from hibari.train.objective import (
    FlowObjective,
    draw_frame_levels,
    flow_loss,
    flow_pair,
    psnr,
    spread_frames,
    vae_loss,
)


def levels_of(layout: PackLayout, **changes: float) -> list[torch.Tensor]:
    settings = {"independent": 0.0, "clean_start": 0.0, "clean_frames": 0.0} | changes
    objective = FlowObjective(**settings)  # type: ignore[arg-type]
    levels = draw_frame_levels(layout, objective, torch.Generator().manual_seed(0))
    return list(levels.split([grid.frames for grid in layout.grids]))


CLIPS = PackLayout((Grid(6, 2, 2),) * 200)


def test_shared_level() -> None:
    assert all((clip == clip[0]).all() and clip[0] > 0 for clip in levels_of(CLIPS))


def test_independent_levels() -> None:
    assert all(len(clip.unique()) == 6 for clip in levels_of(CLIPS, independent=1.0))


def test_clean_start_keeps_something_to_make() -> None:
    clips = levels_of(CLIPS, clean_start=1.0)
    assert all(clip[0] == 0 and clip[-1] > 0 for clip in clips)
    starts = [int((clip == 0).sum()) for clip in clips]
    assert starts.count(1) > 100 and max(starts) > 1


def test_shares_of_a_mixture() -> None:
    clips = levels_of(CLIPS, independent=0.3, clean_start=0.3)
    started = sum(bool(clip[0] == 0) for clip in clips)
    alone = sum(len(clip.unique()) > 2 for clip in clips)
    assert 40 < started < 80 and 40 < alone < 80


def test_references_are_clean_and_pictures_are_always_made() -> None:
    layout = PackLayout((Grid(3, 2, 2), Grid(1, 2, 2)), references=(1, 0))
    clip, picture = levels_of(layout, clean_start=1.0, clean_frames=0.0)
    assert clip[2] == 0 and clip[1] > 0 and picture[0] > 0


def test_spread_frames() -> None:
    layout = PackLayout((Grid(2, 1, 2), Grid(1, 1, 3)))
    assert spread_frames(torch.tensor([0.1, 0.2, 0.3]), layout).tolist() == pytest.approx(
        [0.1] * 2 + [0.2] * 2 + [0.3] * 3
    )


def test_known_tokens_are_shown_clean_and_bear_no_loss() -> None:
    clean, noise = torch.randn(4, 8), torch.randn(4, 8)
    levels = torch.tensor([0.0, 0.0, 0.5, 1.0])
    noisy, target = flow_pair(clean, levels, noise)
    assert torch.equal(noisy[:2], clean[:2]) and torch.equal(noisy[3], noise[3])
    predicted = target.clone()
    predicted[:2] += 100
    assert flow_loss(predicted, target, levels).item() == 0
    predicted[2] += 1
    assert flow_loss(predicted, target, levels).item() == pytest.approx(0.5)


def test_psnr_and_vae_loss() -> None:
    video = -torch.ones(1, 3, 2, 4, 4)
    assert psnr(video, video + 2 / 255) == pytest.approx(48.13, abs=0.01)
    mean, logvar = torch.zeros(1, 2, 1, 1, 1), torch.zeros(1, 2, 1, 1, 1)
    loss, kl = vae_loss(video, video + 0.5, mean, logvar, 1.0)
    assert kl == 0 and loss.item() == pytest.approx(0.5)
