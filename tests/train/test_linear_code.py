"""An encoder that starts as principal components keeps what a linear code of its size can keep. About 10 s."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hibari.model.vae import VAEConfig, WanVAE
from hibari.shapes import VideoShape
from hibari.train.linear_code import pixel_weights, start_as_linear_code
from hibari.worlds import World

FORM = VAEConfig(
    base_dim=48, decoder_base_dim=8, z_dim=64, dim_mult=(1, 2, 2), num_res_blocks=1, temperal_downsample=(True, True),
    is_residual=True, in_channels=48, out_channels=48, patch_size=4, scale_factor_spatial=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def videos() -> Tensor:
    clips = np.stack([World().scene(seed, VideoShape(9, 96, 96)).render() for seed in range(24)])
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


@pytest.fixture(scope="module")
def started(videos: Tensor) -> WanVAE:
    torch.manual_seed(0)
    vae = WanVAE(FORM)
    vae.init_weights()
    start_as_linear_code(vae, videos)
    return vae


def cells(videos: Tensor) -> Tensor:
    """Blocks of 4 frames and 16x16 pixels after the first frame, as vectors."""
    b, _, _, height, width = videos.shape
    x = videos[:, :, 1:].reshape(b, 3, -1, 4, height // 16, 16, width // 16, 16)
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(-1, 3 * 4 * 256)


def error_of_best_linear_decoder(codes: Tensor, pixels: Tensor) -> float:
    design = torch.cat([codes, torch.ones(len(codes), 1)], dim=1)
    return float((design @ torch.linalg.lstsq(design, pixels).solution - pixels).square().mean())


@torch.no_grad()
def test_keeps_nearly_what_principal_components_keep(started: WanVAE, videos: Tensor) -> None:
    pixels = cells(videos)
    latents = started.encode(videos)[0][:, :, 1:]
    ours = error_of_best_linear_decoder(latents.permute(0, 2, 3, 4, 1).flatten(0, 3), pixels)
    best = torch.linalg.svdvals(pixels - pixels.mean(0))[64:].square().sum() / pixels.numel()
    assert ours < 2.0 * best  # 3 dB: the price of a code that is separable over levels


@torch.no_grad()
def test_channels_come_out_alike(started: WanVAE, videos: Tensor) -> None:
    mean, logvar = started.encode(videos)
    deviation = mean.transpose(0, 1).flatten(1).std(1)
    assert (deviation > 0.4).all() and (deviation < 2.0).all()
    assert mean.mean().abs() < 0.2
    assert torch.allclose(logvar, torch.tensor(-6.0), atol=1e-4)


@torch.no_grad()
def test_first_channels_weigh_most(started: WanVAE, videos: Tensor) -> None:
    weight = pixel_weights(started.encode(videos)[0], videos, 16)
    assert weight[0] == weight.max() and weight[:8].mean() > 3 * weight[-8:].mean()
