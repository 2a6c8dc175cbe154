"""PSNR of a tiny VAE on held-out clips. About 5 seconds."""

import numpy as np
import pytest
import torch

from hibari.evaluate.prompts import plain_world
from hibari.evaluate.reconstruction import measure_vae, psnr, rebuild
from hibari.evaluate.report import vae_table
from hibari.model.vae import VAEConfig, WanVAE
from hibari.worlds import World

TINY = VAEConfig(
    base_dim=8,
    z_dim=48,
    dim_mult=(1, 2, 2),
    num_res_blocks=1,
    temperal_downsample=(True, True),
    is_residual=True,
    in_channels=48,
    out_channels=48,
    patch_size=4,
    scale_factor_spatial=16,
)


@pytest.fixture(scope="module")
def vae() -> WanVAE:
    torch.manual_seed(0)
    model = WanVAE(TINY)
    model.init_weights()
    return model


def test_psnr_is_that_of_the_textbook() -> None:
    black = np.zeros((2, 4, 4, 3), np.uint8)
    assert psnr(black, black) == 99.0
    assert psnr(black, black + 255) == pytest.approx(0.0)
    assert psnr(black, black + 1) == pytest.approx(48.13, abs=0.01)


def test_frames_go_through_the_vae_and_come_back_as_frames(vae: WanVAE) -> None:
    frames = World().scene(0, (9, 64, 96)).render()
    rebuilt = rebuild(vae, frames)
    assert rebuilt.shape == frames.shape and rebuilt.dtype == np.uint8


def test_a_measurement_has_clips_and_pictures_of_each_size(vae: WanVAE) -> None:
    result = measure_vae(vae, plain_world(World()), [(64, 48), (48, 64)], clips=2)
    assert result["clips"]["count"] == result["pictures"]["count"] == 4
    assert result["clips"]["lowest"] <= result["clips"]["mean"] < 99
    assert vae_table(result).count("\n") == 5
