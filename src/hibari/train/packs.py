"""A pack of cached clips as a transformer learns it: batch, loss and held-out loss.

It draws no packs and trains nothing: which clips a step sees is `data.plan`'s business, when it is seen the recipe's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hibari.data.latents import LatentPart
from hibari.data.plan import Draw
from hibari.model.dit import TextKeys, WanDiT
from hibari.model.packing import pack
from hibari.shapes import PackLayout
from hibari.train.objective import flow_loss, flow_pair, spread_frames

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The noise levels of the held-out loss."""


@dataclass(frozen=True)
class Batch:
    """One pack: clean patches, its layout, and each clip's text states."""

    patches_LP: Tensor
    layout: PackLayout
    texts: list[Tensor]


def gather(parts: Sequence[LatentPart], draws: Sequence[Draw], device: torch.device) -> Batch:
    """The latents and text states of a pack's draws; a reference picture joins its clip as a last frame."""
    latents, references = [], []
    for draw in draws:
        part = parts[draw.part]
        latent = part.latents[draw.clip]
        if draw.reference and part.references is not None:
            latent = torch.cat([latent, part.references[draw.clip]], dim=1)
        latents.append(latent.to(device))
        references.append(int(draw.reference))
    patches_LP, layout = pack(latents, (1, 1, 1))
    texts = [parts[d.part].states(d.clip, d.caption).to(device) for d in draws]
    return Batch(patches_LP, PackLayout(layout.grids, tuple(references)), texts)


def pack_loss(model: WanDiT, batch: Batch, levels_F: Tensor, text: TextKeys, generator: torch.Generator) -> Tensor:
    """The flow loss of a pack at a level per latent frame; its noise is drawn from the generator."""
    device = batch.patches_LP.device
    noise_LP = _noise(batch.patches_LP, generator)
    levels_F = levels_F.to(device)
    levels_L = spread_frames(levels_F, batch.layout)
    noisy_LP, target_LP = flow_pair(batch.patches_LP.float(), levels_L, noise_LP)
    return flow_loss(model(noisy_LP, batch.layout, levels_F, text), target_LP, levels_L)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of a CPU's generator; a GPU draws its own from a seed of it, as the CPU would keep it waiting."""
    if like.device.type == "cpu":
        return torch.randn(like.shape, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    own = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=own, device=like.device)


@torch.no_grad()
def held_out_loss(model: WanDiT, batch: Batch, seed: int = 7) -> list[float]:
    """The flow loss of a pack at each of LEVELS, all its frames at that level; the noise is of the seed alone."""
    text = model.encode_text(batch.texts)
    losses = []
    for level in LEVELS:
        levels_F = torch.full((batch.layout.num_frames,), level)
        losses.append(pack_loss(model, batch, levels_F, text, torch.Generator().manual_seed(seed)).item())
    return losses
