"""What is minimised: reconstruction for the VAE, flow matching with a noise level per latent frame for the DiT.

Sources: reconstruction and KL, arXiv 2503.20314 section 4.1, which has L1 and a perceptual net where squared
error stands here: it teaches a small decoder several times as fast (docs/journal.md). Flow matching, arXiv
2210.02747 and 2403.03206. Independent levels per frame ("diffusion forcing"), arXiv 2407.01392.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hibari.flow.path import interpolate, velocity
from hibari.flow.times import LevelDraw, draw_levels
from hibari.shapes import PackLayout


def vae_loss(video: Tensor, decoded: Tensor, mean: Tensor, logvar: Tensor, kl_weight: float) -> tuple[Tensor, float]:
    """Root mean square error of each clip, averaged, + KL, all fp32; also the KL in nats per latent value.

    video, decoded: (B, 3, T, H, W) in [-1, 1]; mean, logvar: (B, C, t, h, w). The root keeps clips that are hard to
    code from drowning the others.
    """
    error_B = (decoded.float() - video.float()).square().flatten(1).mean(1).add(1e-8).sqrt()
    kl = 0.5 * (mean.float().square() + logvar.float().exp() - 1 - logvar.float()).mean()
    return error_B.mean() + kl_weight * kl, kl.item()


def psnr(video: Tensor, decoded: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of (B, 3, T, H, W) videos in [-1, 1], rounded to 8 bits, over all pixels."""
    a, b = (((v.float().clamp(-1, 1) + 1) * 127.5).round() for v in (video, decoded))
    return float(10 * torch.log10(255.0**2 / (a - b).square().mean().clamp_min(1e-10)))


@dataclass(frozen=True, kw_only=True)
class FlowObjective:
    """How levels are drawn. Shares are of clips with more than one latent frame; what is left shares one level.

    A frame at level 0 is known: it is shown clean and bears no loss. Editing verbs rely on all four kinds.
    """

    draw: LevelDraw = LevelDraw(uniform_share=0.1, shift=2.0)
    independent: float = 0.25
    clean_start: float = 0.2
    clean_frames: float = 0.05
    text_dropout: float = 0.1


def draw_frame_levels(layout: PackLayout, objective: FlowObjective, generator: torch.Generator) -> Tensor:
    """A noise level per latent frame of a pack, (num_frames,) fp32; reference frames are always clean."""
    references = layout.references or (0,) * len(layout.grids)
    kinds = torch.rand(len(layout.grids), generator=generator).tolist()
    levels = []
    for grid, reference, kind in zip(layout.grids, references, kinds, strict=True):
        frames = grid.frames - reference
        drawn = draw_levels(frames, generator, objective.draw)
        starts = objective.independent + objective.clean_start
        if frames > 1 and kind < objective.independent:
            clip = drawn
        else:
            clip = drawn[:1].repeat(frames)
            if frames > 1 and objective.independent <= kind < starts:
                # Most often one known frame, which is image to video; else any number, which is extension.
                more = kind > starts - 0.3 * objective.clean_start
                clip[: 1 + int(drawn[-1] * (frames - 1)) * more] = 0
                clip[-1] = drawn[0]
            elif frames > 1 and starts <= kind < starts + objective.clean_frames:
                clip[torch.rand(frames, generator=generator) < 0.3] = 0
        levels.append(torch.cat([clip, torch.zeros(reference)]))
    return torch.cat(levels)


def spread_frames(levels_F: Tensor, layout: PackLayout) -> Tensor:
    """A value per latent frame to a value per token, (L,)."""
    counts = [grid.tokens_per_frame for grid in layout.grids for _ in range(grid.frames)]
    return levels_F.repeat_interleave(torch.tensor(counts, device=levels_F.device))


def flow_pair(patches_LP: Tensor, levels_L: Tensor, noise_LP: Tensor) -> tuple[Tensor, Tensor]:
    """The noised tokens and the velocity to be predicted, fp32."""
    return interpolate(patches_LP, noise_LP, levels_L[:, None]), velocity(patches_LP, noise_LP)


def flow_loss(predicted_LP: Tensor, target_LP: Tensor, levels_L: Tensor) -> Tensor:
    """Mean squared error of the velocity over the tokens that are not known."""
    error_L = F.mse_loss(predicted_LP.float(), target_LP, reduction="none").mean(dim=-1)
    made_L = (levels_L > 0).float()
    return (error_L * made_L).sum() / made_L.sum().clamp_min(1)
