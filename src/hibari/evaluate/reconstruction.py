"""How well a VAE rebuilds what it has never seen: PSNR on held-out clips and pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hibari.evaluate.following import ask, oracle, summarise
from hibari.evaluate.judges import Judges
from hibari.evaluate.prompts import Prompt, held_out_scenes, prompts_of
from hibari.model.vae import WanVAE
from hibari.shapes import VideoShape
from hibari.worlds import World

FRAMES = 21


def measure_vae(
    vae: WanVAE, world: World, sizes: Sequence[tuple[int, int]], clips: int, first: int = 0
) -> dict[str, Any]:
    """PSNR in dB of `clips` whole held-out clips of each (width, height), and of as many pictures.

    `mean` is over clips, each over all its pixels; `lowest` is the worst clip's. Seeds count from `first`.
    """
    rows: dict[str, Any] = {}
    whole: list[float] = []
    single: list[float] = []
    for width, height in sizes:
        scenes = held_out_scenes(world, clips, VideoShape(FRAMES, height, width), first)
        moving = [rebuild_psnr(vae, scene.render()) for scene in scenes]
        stills = held_out_scenes(world, clips, VideoShape(1, height, width), first)
        still = [rebuild_psnr(vae, scene.render()) for scene in stills]
        rows[f"{width}x{height}"] = {"clips": _summary(moving), "pictures": _summary(still)}
        whole += moving
        single += still
    return {"clips": _summary(whole), "pictures": _summary(single), "frames": FRAMES, "sizes": rows}


def ceiling(vae: WanVAE, judges: Judges, world: World, clips: int) -> dict[str, Any]:
    """Prompt following of the world's own clips after they went through the VAE: no transformer on it does better."""
    draw = oracle(world)

    def make(prompt: Prompt) -> np.ndarray:
        return rebuild(vae, draw(prompt))

    return summarise(list(ask(make, judges, prompts_of(held_out_scenes(world, clips)))))


def rebuild_psnr(vae: WanVAE, frames: np.ndarray) -> float:
    """PSNR in dB of a clip `(T, H, W, 3)` uint8, encoded and decoded whole."""
    return psnr(frames, rebuild(vae, frames))


@torch.inference_mode()
def rebuild(vae: WanVAE, frames: np.ndarray) -> np.ndarray:
    """A clip `(T, H, W, 3)` uint8 through the VAE's mean latent and back, as uint8."""
    weight = next(vae.parameters())
    video = torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    mean, _ = vae.encode(video.to(weight.device, weight.dtype))
    return to_frames(vae.decode(mean)[0])


def to_frames(video_CTHW: Tensor) -> np.ndarray:
    """A video (3, T, H, W) in [-1, 1] as frames (T, H, W, 3) uint8."""
    pixels = ((video_CTHW.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    frames: np.ndarray = pixels.permute(1, 2, 3, 0).cpu().numpy()
    return frames


def psnr(frames: np.ndarray, others: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 clips over all pixels; 99 where they are equal."""
    assert frames.shape == others.shape and frames.dtype == others.dtype == np.uint8, (frames.shape, others.shape)
    error = float(np.mean((frames.astype(np.float32) - others.astype(np.float32)) ** 2))
    return min(99.0, 10 * float(np.log10(255**2 / max(error, 1e-10))))


def _summary(values: Sequence[float]) -> dict[str, Any]:
    return {"mean": round(float(np.mean(values)), 2), "lowest": round(min(values), 2), "count": len(values)}
