"""The first half of `hibari train mini`: a Wan 2.2 form VAE at CPU size, from nothing.

The encoder starts, and in the CPU preset stays, as a linear code (train/linear_code.py); the decoder
learns to undo it, on single frames first and then on short clips. Run by `recipes.mini`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hibari.data.clips import Renderer, render_clips
from hibari.model.vae import VAEConfig, WanVAE
from hibari.shapes import VideoShape
from hibari.train.linear_code import pixel_weights, start_as_linear_code
from hibari.train.loop import Hooks, LoopConfig, train
from hibari.train.objective import psnr, vae_loss
from hibari.train.optim import OptimConfig

MINI_VAE = VAEConfig(
    base_dim=48,
    decoder_base_dim=64,
    z_dim=96,
    dim_mult=(1, 2, 2),
    num_res_blocks=1,
    temperal_downsample=(True, True),
    is_residual=True,
    in_channels=48,
    out_channels=48,
    patch_size=4,
    scale_factor_spatial=16,
)


@dataclass(frozen=True, kw_only=True)
class VAERecipe:
    """Training of the VAE. `phases`: (until step, frames of a window, windows in a batch).

    train_encoder: False keeps the encoder at its linear start, so that latents stay what they are while the decoder
    goes on learning.
    """

    model: VAEConfig = MINI_VAE
    clips: int = 2500
    held_out: int = 48
    side: int = 128
    frames: int = 17
    phases: tuple[tuple[int, int, int], ...] = ((700, 1, 16), (3000, 5, 4), (6000, 9, 3))
    train_encoder: bool = False
    kl_weight: float = 1e-5
    seed: int = 1
    loop: LoopConfig = LoopConfig(
        optim=OptimConfig(lr=8e-4, muon_lr=3e-3, steps=6000, warmup=50, clip=0.5, ema=0.99, weight_decay=0.0),
        measure_every=1000,
    )


def train_vae(
    out: Path,
    recipe: VAERecipe,
    make_renderer: Callable[[VideoShape, bool], Renderer],
    device: torch.device,
    workers: int,
    start: WanVAE | None = None,
) -> WanVAE:
    """Render clips, train, measure the latents' statistics; the averaged weights come back in fp32."""
    shape = VideoShape(recipe.frames, recipe.side, recipe.side)
    seen = partial(make_renderer, shape, False)
    clips = render_clips(out / "clips.npy", seen, range(recipe.clips), workers)
    unseen = render_clips(out / "held_out.npy", seen, range(10**9, 10**9 + recipe.held_out), workers)
    torch.manual_seed(recipe.seed)
    model = WanVAE(recipe.model) if start is None else start
    if start is None:
        model.init_weights()
        start_as_linear_code(model, to_video(clips[:: max(1, len(clips) // 64)]))
        mean, std = latent_statistics(model.to(device), clips[:: max(1, len(clips) // 100)], device)
        model.config = replace(model.config, latents_mean=mean, latents_std=std)
    dtype = torch.bfloat16
    model.to(device=device, dtype=dtype)
    if not recipe.train_encoder:
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        video = _window(clips, recipe, step, device).to(dtype)
        with torch.set_grad_enabled(recipe.train_encoder):
            mean, logvar = model.encode(video)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(step)).to(mean)
        decoded = model.decode(mean + (0.5 * logvar).exp() * noise)
        value, kl = vae_loss(video, decoded, mean, logvar, recipe.kl_weight)
        return value, {"kl": kl}

    train(model, out, recipe.loop, Hooks(loss, partial(measure_vae, model, unseen, device)))
    if recipe.train_encoder:
        mean, std = latent_statistics(model, clips[:: max(1, len(clips) // 100)], device)
        model.config = replace(model.config, latents_mean=mean, latents_std=std)
    return model.float()


@torch.no_grad()
def measure_vae(model: WanVAE, clips: np.ndarray, device: torch.device, _step: int = 0) -> dict[str, Any]:
    """PSNR of whole held-out clips, and of their first frames alone, in dB over all pixels."""
    weight = next(model.parameters())
    whole, first = [], []
    for clip in clips:
        video = to_video(clip[None]).to(device, weight.dtype)
        whole.append(psnr(video, model.decode(model.encode(video)[0])))
        picture = video[:, :, :1]
        first.append(psnr(picture, model.decode(model.encode(picture)[0])))
    return {"psnr_clips": float(np.mean(whole)), "psnr_pictures": float(np.mean(first)), "clips": len(clips)}


@torch.no_grad()
def latent_statistics(
    model: WanVAE, clips: np.ndarray, device: torch.device
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean of each latent channel, and what to divide it by.

    Not by its deviation alone, which would make every detail as large as the picture's layout: a channel's
    normalised deviation is the square root of its weight in pixels over the mean weight, from 0.4 to 2.5. So what
    matters most stands out of the noise first, halfway between pixel diffusion and whitened latents.
    """
    dtype = next(model.parameters()).dtype
    videos = [to_video(clip[None]) for clip in clips]
    latents = torch.cat([model.encode(video.to(device, dtype))[0].float().cpu() for video in videos])
    flat = latents.transpose(0, 1).flatten(1)
    weight = pixel_weights(latents, torch.cat(videos), model.config.scale_factor_spatial) * flat.std(1)
    amplitude = (weight / weight.log().mean().exp()).sqrt().clamp(0.4, 2.5)
    return tuple(flat.mean(1).tolist()), tuple((flat.std(1) / amplitude).tolist())


def to_video(clips: np.ndarray, device: torch.device | None = None) -> Tensor:
    """Bytes (B, T, H, W, 3) to (B, 3, T, H, W) fp32 in [-1, 1], worked out on the device (None: the CPU)."""
    return torch.from_numpy(np.array(clips)).to(device).permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)


def _window(clips: np.ndarray, recipe: VAERecipe, step: int, device: torch.device) -> Tensor:
    """The batch of a step: windows of its phase's length from random clips."""
    frames, batch = next((f, b) for until, f, b in recipe.phases if step < until or until == recipe.phases[-1][0])
    rng = np.random.default_rng((recipe.seed, step))
    picked = [(int(rng.integers(len(clips))), int(rng.integers(clips.shape[1] - frames + 1))) for _ in range(batch)]
    return to_video(np.stack([clips[i][at : at + frames] for i, at in picked]), device)
