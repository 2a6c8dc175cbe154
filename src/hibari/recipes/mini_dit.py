"""The second half of `hibari train mini`: the transformer, on cached latents of world clips.

Run by `recipes.mini`. Every kind of noise level that the editing verbs need is in the mixture from
the first step on: levels of their own for each latent frame, clean start frames, clean frames
anywhere, and clean reference pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hibari.data.latents import LatentPart
from hibari.data.plan import Draw, PackPlan, draw_pack
from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.weights import save_dit
from hibari.shapes import PackLayout
from hibari.train.compute import Compute, keep, training_flops
from hibari.train.loop import Hooks, LoopConfig, train
from hibari.train.objective import FlowObjective, draw_frame_levels
from hibari.train.optim import OptimConfig
from hibari.train.packs import LEVELS, gather, held_out_loss, pack_loss

SAMPLED = 256  # packs of each phase that are counted, at least, where there are as many

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
    """Training of the transformer. `pictures_until`: steps on single frames alone, before clips join them.

    `loop.keep`: at which shares of the steps the averaged weights are kept, in `kept/STEP`, for `hibari evaluate
    scaling`; by default those of 1/32 and 1/8 of the compute, and the end.
    """

    model: DiTConfig = MINI_DIT
    objective: FlowObjective = FlowObjective()
    pictures_until: int = 1500
    pictures: PackPlan = PackPlan(tokens=4096, frames_share=((1, 1.0),))
    clips: PackPlan = PackPlan(tokens=4096, frames_share=((1, 0.2), (6, 0.7), (16, 0.1)))
    seed: int = 2
    loop: LoopConfig = LoopConfig(
        optim=OptimConfig(lr=1e-3, muon_lr=2e-3, steps=4300, warmup=50, clip=1.0, ema=0.999, weight_decay=0.01),
        measure_every=500,
        keep=(1 / 32, 1 / 8, 1.0),
    )


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
        value = pack_loss(model, batch, levels_F, model.encode_text(texts), generator)
        return value, {"tokens": batch.layout.num_tokens}

    def keep_step(step: int) -> None:
        held_out = measure_dit(model, unseen, device)
        spent = compute_of(model.config, recipe, parts, step, held_out=held_out, from_nothing=start is None)
        keep(out, spent, partial(save_dit, model, dtype=torch.bfloat16))

    measure = partial(measure_dit, model, unseen, device)
    hooks = Hooks(loss, measure, sample and partial(sample, model), keep_step)
    train(model, out, recipe.loop, hooks)
    return model


def measure_dit(model: WanDiT, parts: Sequence[LatentPart], device: torch.device, _step: int = 0) -> dict[str, float]:
    """Held-out loss at five noise levels, the same clips and noise each time."""
    clips = [Draw(p, i, 0, False) for p, part in enumerate(parts) for i in range(min(8, len(part.labels)))]
    losses = held_out_loss(model, gather(parts, clips, device))
    by_level = {f"loss_at_{level}": round(loss, 4) for level, loss in zip(LEVELS, losses, strict=True)}
    return by_level | {"mean": round(sum(losses) / len(losses), 4)}


def compute_of(
    model: DiTConfig,
    recipe: DiTRecipe,
    parts: Sequence[LatentPart],
    steps: int,
    *,
    held_out: dict[str, float],
    from_nothing: bool,
) -> Compute:
    """What so many steps of a recipe cost, from a sample of its packs.

    A step's pack is a pure function of its number, so this is one too, in a resumed run as in a whole one. Packs
    differ by a few per cent, their means over SAMPLED of them by a tenth of that.
    """
    tokens = flops = 0.0
    turn = min(steps, recipe.pictures_until)
    for plan, phase in ((recipe.pictures, range(turn)), (recipe.clips, range(turn, steps))):
        picked = phase[:: max(1, len(phase) // SAMPLED)]
        for step in picked:
            draws = draw_pack(parts, plan, recipe.seed, step)
            grids = [parts[draw.part].grid for draw in draws]
            longer = [g._replace(frames=g.frames + d.reference) for g, d in zip(grids, draws, strict=True)]
            layout = PackLayout(tuple(longer))
            tokens += layout.num_tokens * len(phase) / len(picked)
            flops += training_flops(model, layout) * len(phase) / len(picked)
    return Compute(
        step=steps,
        steps=recipe.loop.optim.steps,
        tokens=round(tokens),
        flops=flops,
        held_out=held_out,
        from_nothing=from_nothing,
    )
