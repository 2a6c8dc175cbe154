"""The second half of `hibari train mini`: the transformer, on cached latents of world clips.

Run by `recipes.mini`. Every kind of noise level that the editing verbs need is in the mixture from
the first step on: levels of their own for each latent frame, clean start frames, clean frames
anywhere, and clean reference pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hibari.data.latents import LatentPart
from hibari.data.plan import Draw, PackPlan, draw_pack
from hibari.model.dit import DiTConfig, TextKeys, WanDiT
from hibari.model.packing import pack
from hibari.shapes import PackLayout
from hibari.train.loop import Hooks, LoopConfig, train
from hibari.train.objective import FlowObjective, draw_frame_levels, flow_loss, flow_pair, spread_frames
from hibari.train.optim import OptimConfig

MINI_DIT = DiTConfig(
    num_attention_heads=3,
    attention_head_dim=128,
    in_channels=96,
    out_channels=96,
    text_dim=384,
    freq_dim=256,
    ffn_dim=736,
    num_layers=5,
    patch_size=(1, 1, 1),
)


@dataclass(frozen=True, kw_only=True)
class DiTRecipe:
    """Training of the transformer. `pictures_until`: steps on single frames alone, before clips join them."""

    model: DiTConfig = MINI_DIT
    objective: FlowObjective = FlowObjective()
    pictures_until: int = 1500
    pictures: PackPlan = PackPlan(tokens=4096, frames_share=((1, 1.0),))
    clips: PackPlan = PackPlan(tokens=4096, frames_share=((1, 0.2), (6, 0.7), (16, 0.1)))
    seed: int = 2
    loop: LoopConfig = LoopConfig(
        optim=OptimConfig(lr=1e-3, muon_lr=2e-3, steps=4300, warmup=50, clip=1.0, ema=0.999, weight_decay=0.01),
        measure_every=500,
    )


@dataclass(frozen=True)
class Batch:
    """One pack: clean patches, its layout, and each clip's text states."""

    patches_LP: Tensor
    layout: PackLayout
    texts: list[Tensor]


def train_dit(
    out: Path,
    recipe: DiTRecipe,
    parts: Sequence[LatentPart],
    unseen: Sequence[LatentPart],
    empty_text: Tensor,
    device: torch.device,
    sample: Callable[[WanDiT, int], None] | None = None,
    start: WanDiT | None = None,
) -> WanDiT:
    """Train on cached parts; the averaged weights come back.

    unseen: parts for the held-out loss. empty_text: the states of the empty prompt, which stand in for a
    dropped caption. sample: fixed-seed samples of the averaged weights. start: weights to go on from.
    """
    torch.manual_seed(recipe.seed)
    model = WanDiT(recipe.model) if start is None else start
    if start is None:
        model.init_weights()
    model.cast(torch.bfloat16).to(device)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        plan = recipe.pictures if step < recipe.pictures_until else recipe.clips
        generator = torch.Generator().manual_seed(recipe.seed * 10**9 + step)
        batch = gather(parts, draw_pack(parts, plan, recipe.seed, step), device)
        dropped = (torch.rand(len(batch.texts), generator=generator) < recipe.objective.text_dropout).tolist()
        texts = [empty_text.to(device) if drop else text for drop, text in zip(dropped, batch.texts, strict=True)]
        levels_F = draw_frame_levels(batch.layout, recipe.objective, generator)
        return _loss(model, batch, levels_F, model.encode_text(texts), generator), {"tokens": batch.layout.num_tokens}

    hooks = Hooks(loss, partial(measure_dit, model, unseen, device), sample and partial(sample, model))
    train(model, out, recipe.loop, hooks)
    return model


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


@torch.no_grad()
def measure_dit(model: WanDiT, parts: Sequence[LatentPart], device: torch.device, _step: int = 0) -> dict[str, Any]:
    """Held-out loss at five noise levels, the same clips and noise each time."""
    clips = [Draw(p, i, 0, False) for p, part in enumerate(parts) for i in range(min(8, len(part.labels)))]
    batch = gather(parts, clips, device)
    text = model.encode_text(batch.texts)
    losses = {}
    for level in (0.1, 0.3, 0.5, 0.7, 0.9):
        levels_F = torch.full((batch.layout.num_frames,), level)
        value = _loss(model, batch, levels_F, text, torch.Generator().manual_seed(7))
        losses[f"loss_at_{level}"] = round(value.item(), 4)
    return losses | {"mean": round(sum(losses.values()) / len(losses), 4)}


def _loss(model: WanDiT, batch: Batch, levels_F: Tensor, text: TextKeys, generator: torch.Generator) -> Tensor:
    device = batch.patches_LP.device
    noise_LP = torch.randn(batch.patches_LP.shape, generator=generator).to(device)
    levels_F = levels_F.to(device)
    levels_L = spread_frames(levels_F, batch.layout)
    noisy_LP, target_LP = flow_pair(batch.patches_LP.float(), levels_L, noise_LP)
    return flow_loss(model(noisy_LP, batch.layout, levels_F, text), target_LP, levels_L)
