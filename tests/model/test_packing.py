"""Clips into one sequence and out again. Under a second."""

import torch

from hibari.model.packing import pack, unpack
from hibari.shapes import Grid


def test_packing_is_undone_by_unpacking() -> None:
    shapes = [(4, 3, 4, 6), (4, 1, 8, 2), (4, 1, 8, 2), (4, 2, 2, 2)]
    latents = [torch.randn(shape) for shape in shapes]
    patches_LP, layout = pack(latents, (1, 2, 2))
    assert patches_LP.shape == (layout.num_tokens, 16)
    assert layout.grids == (Grid(3, 2, 3), Grid(1, 4, 1), Grid(1, 4, 1), Grid(2, 1, 1))
    for latent, back in zip(latents, unpack(patches_LP, layout, 4, (1, 2, 2)), strict=True):
        assert torch.equal(latent, back)


def test_tokens_go_by_frame_row_column_and_numbers_by_patch_then_channel() -> None:
    latent = torch.arange(2 * 2 * 2 * 4).view(2, 2, 2, 4)
    patches_LP, _ = pack([latent], (1, 2, 2))
    assert patches_LP[1].tolist() == [latent[c, 0, h, w] for h in (0, 1) for w in (2, 3) for c in (0, 1)]
    assert patches_LP[2, :2].tolist() == latent[:, 1, 0, 0].tolist()
