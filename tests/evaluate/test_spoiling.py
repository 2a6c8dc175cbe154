"""Softening keeps a frame, spoiling destroys what it should and only that. About 1 second."""

import torch
from torch import Tensor

from hibari.evaluate import spoiling


def picture(count: int = 2) -> Tensor:
    return 255 * torch.rand(count, 3, 56, 96, generator=torch.Generator().manual_seed(0))


def boxes(count: int = 2) -> Tensor:
    return torch.tensor([[40.0, 28.0, 24.0]]).repeat(count, 1)


def test_a_blur_is_gaussian_and_keeps_the_mean() -> None:
    point = torch.zeros(1, 3, 41, 41)
    point[..., 20, 20] = 1
    blurred = spoiling.blur(point, 2.0)[0, 0]
    assert abs(blurred.sum().item() - 1) < 1e-5
    steps = torch.arange(41.0) - 20
    assert abs((blurred.sum(0) * steps.square()).sum().sqrt().item() - 2.0) < 0.05
    flat = torch.full((1, 3, 9, 9), 7.0)
    torch.testing.assert_close(spoiling.blur(flat, 3.0), flat)


def test_softening_leaves_a_clip_of_a_good_decoder() -> None:
    smooth = spoiling.blur(picture(), 3.0)
    soft = spoiling.soften(smooth, torch.Generator().manual_seed(1))
    error = (soft - smooth).square().mean()
    assert 10 * torch.log10(255**2 / error) > 25


def test_smearing_and_shuffling_stay_on_the_thing() -> None:
    before, far = picture(), (slice(None), slice(None), slice(None), slice(70, 96))
    generator = torch.Generator().manual_seed(2)
    smeared = spoiling.smear_things(before, boxes(), 4.0)
    shuffled, done = spoiling.shuffle_things(before, boxes(), generator)
    assert done.all()
    for after in (smeared, shuffled):
        torch.testing.assert_close(after[far], before[far])
        assert (after - before).abs()[:, :, 18:38, 30:50].mean() > 20
    # The tiles are all still there.
    torch.testing.assert_close(shuffled.flatten(1).sort().values, before.flatten(1).sort().values)


def test_what_would_leave_the_frame_is_not_shuffled() -> None:
    before = picture(1)
    after, done = spoiling.shuffle_things(before, torch.tensor([[2.0, 2.0, 30.0]]), torch.Generator().manual_seed(3))
    assert not done.any()
    torch.testing.assert_close(after, before)


def test_blobs_lie_where_they_say() -> None:
    before = torch.full((6, 3, 56, 96), 255.0)
    after, where = spoiling.add_blobs(before, torch.Generator().manual_seed(4))
    changed = (after - before).abs().sum(1) > 3
    for mask, (x, y, side) in zip(changed, where.tolist(), strict=True):
        rows, columns = mask.nonzero(as_tuple=True)
        assert abs(columns.float().mean().item() - x) < 2 and abs(rows.float().mean().item() - y) < 2
        assert 0.6 * side < (columns.max() - columns.min()).item() < 1.2 * side


def test_noise_is_in_range_and_repeats() -> None:
    first, again = (spoiling.noise(4, 56, 96, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(first, again)
    assert first.shape == (4, 3, 56, 96) and first.min() >= 0 and first.max() <= 255 and first.std() > 10
