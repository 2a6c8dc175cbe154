"""The VAE against diffusers' AutoencoderKLWan in every form, and streaming against whole clips. About 6 s."""

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from hibari.model.vae import VAEConfig, WanVAE
from hibari.model.vae_layers import PIECE, ChannelNorm, StreamState, activate
from hibari.shapes import LatentShape, VideoShape

FORMS: dict[str, dict[str, Any]] = {
    "Wan 2.1": {"base_dim": 8, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1},
    "Wan 2.2": {
        "base_dim": 8, "decoder_base_dim": 12, "z_dim": 48, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1,
        "is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
    },
    "mini": {
        "base_dim": 8, "decoder_base_dim": 12, "z_dim": 16, "dim_mult": [1, 2, 2], "num_res_blocks": 1,
        "temperal_downsample": [True, True], "is_residual": True, "in_channels": 48, "out_channels": 48,
        "patch_size": 4, "scale_factor_spatial": 16,
    },
}  # fmt: skip


def pair(form: str, dtype: torch.dtype) -> tuple[WanVAE, Any]:
    """Ours and theirs with the same random weights."""
    torch.manual_seed(0)
    values = FORMS[form]
    theirs: Any = AutoencoderKLWan(**values)
    theirs.eval().to(dtype)
    ours = WanVAE(VAEConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})).to(dtype)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def clip(dtype: torch.dtype, frames: int = 9) -> Tensor:
    return torch.rand(1, 3, frames, 64, 32, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2 - 1


def distance(a: Tensor, b: Tensor) -> float:
    """The largest difference, in parts of the largest value."""
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", [1, 9])
@torch.no_grad()
def test_equals_diffusers(form: str, frames: int) -> None:
    ours, theirs = pair(form, torch.float32)
    posterior = theirs.encode(clip(torch.float32, frames)).latent_dist
    mean, logvar = ours.encode(clip(torch.float32, frames))
    assert distance(mean, posterior.mean) < 1e-4
    assert distance(logvar.clamp(-30, 20), posterior.logvar) < 1e-4
    assert distance(ours.decode(posterior.mean).clamp(-1, 1), theirs.decode(posterior.mean).sample) < 1e-4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@torch.no_grad()
def test_in_pieces_equals_whole(form: str, dtype: torch.dtype, bound: float) -> None:
    vae, _ = pair(form, dtype)
    video = clip(dtype, 13)
    whole, _ = vae.encode(video)
    state = StreamState()
    pieces = [vae.encode_chunk(piece, state)[0] for piece in video.split([1, 4, 8], dim=2)]
    assert distance(torch.cat(pieces, dim=2), whole) < bound
    decoded = vae.decode(whole)
    for sizes in ([1, 1, 1, 1], [2, 1, 1], [1, 3]):
        state = StreamState()
        frames = [vae.decode_chunk(piece, state) for piece in whole.split(sizes, dim=2)]
        assert distance(torch.cat(frames, dim=2), decoded) < bound


@torch.no_grad()
def test_no_frame_sees_a_later_one() -> None:
    vae, _ = pair("mini", torch.float64)
    video = clip(torch.float64)
    changed = video.clone()
    changed[:, :, 5:] = 0
    assert torch.equal(vae.encode(video)[0][:, :, :2], vae.encode(changed)[0][:, :, :2])


@torch.no_grad()
def test_shapes_are_those_of_the_strides() -> None:
    vae, _ = pair("mini", torch.float32)
    strides = vae.config.strides((1, 1, 1))
    mean, _ = vae.encode(clip(torch.float32))
    assert strides.latent(VideoShape(9, 64, 32)) == LatentShape(*mean.shape[1:])
    assert tuple(strides.video(LatentShape(*mean.shape[1:]))) == tuple(vae.decode(mean).shape[2:])


def test_normalise_and_back() -> None:
    config = VAEConfig(base_dim=8, z_dim=2, num_res_blocks=1, latents_mean=(1.0, -1.0), latents_std=(2.0, 0.5))
    vae = WanVAE(config)
    latent = torch.randn(1, 2, 1, 3, 3)
    assert torch.allclose(vae.normalise(latent)[0, 0], (latent[0, 0] - 1) / 2)
    assert torch.allclose(vae.denormalise(vae.normalise(latent)), latent, atol=1e-6)


@torch.inference_mode()
def test_activation_in_pieces_is_bit_for_bit_that_of_whole_levels() -> None:
    norm = ChannelNorm(96, 3)
    norm.gamma.normal_()
    x = torch.randn(1, 96, 3, 40, 41).bfloat16().contiguous(memory_format=torch.channels_last_3d)
    assert x.numel() > PIECE and x.numel() % PIECE
    assert torch.equal(activate(norm, x), torch.nn.functional.silu(norm(x)))
