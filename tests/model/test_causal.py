"""Attention by blocks of frames: diffusers' mask for SkyReels-V2, without one. About 4 seconds."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hibari.model.attention import attend, attend_by_block
from hibari.model.dit import WanDiT
from hibari.model.packing import pack, unpack
from hibari.model.weights import load_dit
from hibari.shapes import PackLayout
from tiny_dit import distance, our_dit, padded, published_dit


def test_blocks_see_what_a_mask_would_let_them_see() -> None:
    q, k, v = (torch.randn(2, 10, 2, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    places = torch.arange(10) // 4  # the last block is shorter
    mask = torch.zeros(10, 10).masked_fill(places[None] > places[:, None], -torch.inf)
    torch.testing.assert_close(attend_by_block(q, k, v, 4), attend(q, k, v, mask))


@pytest.mark.parametrize("block", [1, 2, 4])
def test_outputs_equal_those_of_diffusers(block: int, tmp_path: Path) -> None:
    theirs: Any = published_dit("skyreels with rate")
    theirs.save_pretrained(tmp_path)
    theirs._set_ar_attention(block)
    generator = torch.Generator().manual_seed(2)
    latent, text = torch.randn(16, 4, 4, 6, generator=generator), torch.randn(5, 40, generator=generator)
    times = torch.tensor([[0.0, 20.0, 412.0, 999.0]])
    with torch.no_grad():
        want = theirs(latent[None], times, padded([text]), fps=[1], enable_diffusion_forcing=True, return_dict=False)[
            0
        ][0]
        got = told(load_dit(tmp_path), latent, times[0] / 1000, text, block if block > 1 else 0)
    assert distance(got, want) < 1e-4


def told(model: WanDiT, latent: torch.Tensor, levels: torch.Tensor, text: torch.Tensor, block: int) -> torch.Tensor:
    patches, layout = pack([latent], model.config.patch_size)
    out = model(patches, PackLayout(layout.grids, causal_frames=block), levels, model.encode_text([text]), 24)
    return unpack(out, layout, 16, model.config.patch_size)[0]


@torch.no_grad()
def test_no_block_sees_a_later_one() -> None:
    model, generator = our_dit("skyreels with rate"), torch.Generator().manual_seed(3)
    latent, text = torch.randn(16, 5, 4, 6, generator=generator), torch.randn(5, 40, generator=generator)
    other, levels = latent.clone(), torch.full((5,), 0.5)
    other[:, 4:] += 1
    torch.testing.assert_close(
        told(model, latent, levels, text, 2)[:, :4], told(model, other, levels, text, 2)[:, :4], atol=1e-6, rtol=0
    )
    assert distance(told(model, latent, levels, text, 0)[:, :4], told(model, other, levels, text, 0)[:, :4]) > 1e-3
