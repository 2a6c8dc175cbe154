"""`hibari train mini`: from the worlds to a diffusers folder that Hibari and diffusers open.

Stages, each skipped where its result is there already: render clips and train the VAE; render,
encode and cache clips of all native sizes; train the transformer; write the weights. A run that was
stopped goes on where it was.
"""

import hashlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import torch
from torch import Tensor

from hibari.catalog.card import VERBS
from hibari.data.latents import load_parts
from hibari.errors import TrainingError
from hibari.model.dit import WanDiT
from hibari.model.text import MiniLMTextEncoder
from hibari.model.vae import WanVAE
from hibari.model.weights import load_dit, load_vae, save_dit, save_vae
from hibari.recipes.mini_cache import CPU_PARTS, NATIVE_SIZES, CacheRecipe, build_cache
from hibari.recipes.mini_dit import MINI_DIT, DiTRecipe, train_dit
from hibari.recipes.mini_samples import sampler, weights_folder
from hibari.recipes.mini_vae import VAERecipe, train_vae
from hibari.recipes.mini_world import WorldRecipe, make_renderer, make_sampler, world_card
from hibari.train.checkpoint import saved_step
from hibari.train.compute import COMPUTE, kept_folder
from hibari.train.loop import LoopConfig
from hibari.worlds.world import World

SAMPLE_PROMPTS = (
    "an octopus drifts to the right over the ocean at sunset",
    "a panda bounces on a green meadow",
    "a rocket rises in the night sky",
    "a penguin stays in place in the snow",
)
HELD_OUT_PARTS = ((192, 112, 1, 16), (192, 112, 21, 16), (128, 128, 21, 16))


@dataclass(frozen=True, kw_only=True)
class MiniRecipe:
    """Everything that makes hibari-mini. Folders are strings so that `--set` reaches them.

    out: where the run lives ("": under the home). base: a weights folder whose text encoder and tokenizer are taken
    over ("": the installed hibari-mini).
    start_from: a weights folder to go on from with a fresh optimizer, or "" to start from nothing.
    device: "cpu", "cuda" or "mps". stages: which to run, in this order. samples: prompts of the clips that are made
    during the run, into `out/samples`.
    """

    out: str = ""
    base: str = ""
    start_from: str = ""
    device: str = "cpu"
    workers: int = 2
    threads: int = 0
    stages: tuple[str, ...] = ("vae", "cache", "dit", "export")
    samples: tuple[str, ...] = SAMPLE_PROMPTS
    world: WorldRecipe = WorldRecipe()
    vae: VAERecipe = VAERecipe()
    cache: CacheRecipe = CacheRecipe(parts=CPU_PARTS)
    unseen: CacheRecipe = CacheRecipe(parts=HELD_OUT_PARTS, captions=1, seed=900)
    dit: DiTRecipe = DiTRecipe()


MINI = MiniRecipe()
# Parts of a minute at most: a command that runs out of time loses only the one at hand.
GPU_PARTS = (
    *((192, 112, 21, 5000) for _ in range(4)),
    *((w, h, 21, 4000) for w, h in NATIVE_SIZES[1:7]),
    *((w, h, 21, 2000) for w, h in NATIVE_SIZES[7:]),
    *((w, h, 1, 5000) for w, h in NATIVE_SIZES),
    *((w, h, 37, 1500) for w, h in NATIVE_SIZES[:3]),
    (128, 128, 61, 1500),
)
# docs/gpu.md has the reckoning. The transformer has 30.7 million parameters, three times as many as hibari-mini's: 61
# MB in bf16, and 81 MB with the VAE.
MINI_GPU = replace(
    MINI,
    device="cuda",
    workers=14,
    samples=(),  # they need PyAV, which a bare training machine lacks
    world=WorldRecipe(pack="pack", vocabulary="whole"),
    vae=replace(
        MINI.vae,
        clips=6000,
        phases=((1200, 1, 64), (3400, 9, 16), (4000, 17, 8)),
        loop=replace(
            MINI.vae.loop,
            optim=replace(MINI.vae.loop.optim, steps=4000),
            checkpoint_seconds=60.0,
            stop_after_seconds=480.0,
        ),
    ),
    cache=CacheRecipe(parts=GPU_PARTS, captions=3, frames_at_once=420),
    unseen=replace(MINI.unseen, frames_at_once=420),
    dit=replace(
        MINI.dit,
        model=replace(MINI_DIT, num_attention_heads=4, ffn_dim=1376, num_layers=8),
        pictures_until=800,
        pictures=replace(MINI.dit.pictures, tokens=32768),
        clips=replace(MINI.dit.clips, tokens=32768, grids=4),
        loop=replace(
            MINI.dit.loop,
            optim=replace(MINI.dit.loop.optim, steps=6000),
            checkpoint_seconds=60.0,
            stop_after_seconds=480.0,
        ),
    ),
)


def run(recipe: MiniRecipe, out: Path, home: Path | None = None) -> Path:
    """Run the recipe's stages in the folder `out`; returns the folder of finished weights, `out/weights`.

    `home` is the data folder that samples are recorded in; None: the user's own.
    """
    device = torch.device(recipe.device)
    if unknown := sorted(set(recipe.stages) - {"vae", "cache", "dit", "export"}):
        raise TrainingError(f"unknown stage {unknown[0]!r}.", hint="Stages are vae, cache, dit, export.")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    world = recipe.world.world()  # first of all, since a wrong pack would show in another process only
    base = base_weights(recipe.base)
    text = MiniLMTextEncoder.load(base, device=device)
    for stage in recipe.stages:
        sys.stderr.write(f"stage {stage}\n")
        if stage == "vae":
            _vae_stage(out, recipe, device)
        elif stage == "cache":
            _cache_stage(out, recipe, text, device)
        elif stage == "dit":
            _dit_stage(out, recipe, text, base, home)
        else:
            export(out, base, world)
    return out / "weights"


def export(out: Path, base: Path, world: World) -> None:
    """Put transformer, VAE, text encoder, tokenizer, scheduler, card and the world's words into `out/weights`.

    What a finished run cost goes beside them (COMPUTE).
    """
    folder = out / "weights"
    weights_folder(folder, base, out / "vae" / "weights")
    save_vae(load_vae(out / "vae" / "weights", torch.device("cpu"), torch.float32), folder / "vae", torch.bfloat16)
    save_dit(
        load_dit(out / "dit" / "weights", torch.device("cpu"), torch.float32), folder / "transformer", torch.bfloat16
    )
    digest = hashlib.sha256()
    for part in ("transformer", "vae"):
        digest.update((folder / part / "diffusion_pytorch_model.safetensors").read_bytes())
    write_cards(folder, digest.hexdigest()[:12], world)
    step = saved_step(out / "dit" / "checkpoint")
    if step is not None and (kept := kept_folder(out / "dit", step) / COMPUTE).exists():
        shutil.copy(kept, folder)


def write_cards(folder: Path, revision: str, world: World) -> None:
    """Write what the model can do, and the words of its world, beside its weights."""
    (folder / "hibari.json").write_text(json.dumps(model_card(revision), indent=1) + "\n")
    (folder / "world.json").write_text(json.dumps(world_card(world), indent=1) + "\n")


def model_card(revision: str) -> dict[str, object]:
    """What the model can do and what a request gets that does not say (`hibari.json`)."""
    return {
        "name": "hibari-mini",
        "revision": revision,
        "licence": "Apache-2.0",
        "about": "A small world of animated things, trained from nothing by `hibari train mini`.",
        "sizes": [f"{w}x{h}" for w, h in NATIVE_SIZES],
        "upscale": 3,
        "fps": 12,
        "seconds": 3.0,
        "max_seconds": 5.0,
        "steps": 20,
        "guidance": 4.0,
        "verbs": list(VERBS),
        "references": 1,
    }


def base_weights(base: str) -> Path:
    """The weights folder of that name, or that of the installed hibari-mini; raises TrainingError."""
    if base:
        return Path(base)
    for point in entry_points(group="hibari.weights", name="hibari-mini"):
        folder: Path = point.load()()
        return folder
    raise TrainingError(
        "the text encoder of hibari-mini is not installed.",
        hint="pip install ./weights, or --set base=FOLDER with text_encoder/ and tokenizer/ in it.",
    )


def _vae_stage(out: Path, recipe: MiniRecipe, device: torch.device) -> None:
    if _done(out / "vae", recipe.vae.loop):
        return
    start = None
    if recipe.start_from:
        start = load_vae(Path(recipe.start_from) / "vae", device, torch.float32)
    renderer = partial(make_renderer, recipe.world)
    vae = train_vae(out / "vae", recipe.vae, renderer, device, recipe.workers, start)
    save_vae(vae, out / "vae" / "weights", torch.float32)


def _cache_stage(out: Path, recipe: MiniRecipe, text: MiniLMTextEncoder, device: torch.device) -> None:
    vae: WanVAE = load_vae(out / "vae" / "weights", device, torch.bfloat16)
    for name, cache in (("unseen", recipe.unseen), ("cache", recipe.cache)):
        sampler = partial(make_sampler, recipe.world, cache.captions, name == "unseen")
        build_cache(out / name, cache, sampler, (vae, text), recipe.workers)


def _dit_stage(out: Path, recipe: MiniRecipe, text: MiniLMTextEncoder, base: Path, home: Path | None) -> None:
    if _done(out / "dit", recipe.dit.loop):
        return
    device = torch.device(recipe.device)
    start: WanDiT | None = None
    if recipe.start_from:
        start = load_dit(Path(recipe.start_from) / "transformer", device, torch.float32)
    sample = None
    if recipe.samples:
        folder = weights_folder(out / "samples" / "weights", base, out / "vae" / "weights")
        write_cards(folder, "training", recipe.world.world())
        sample = sampler(out / "samples", folder, recipe.samples, device, home)
    parts, unseen = load_parts(out / "cache"), load_parts(out / "unseen")
    empty: Tensor = text.encode([""])[0]
    dit = train_dit(out / "dit", recipe.dit, parts, unseen, empty, device, sample, start)
    save_dit(dit, out / "dit" / "weights", torch.float32)


def _done(stage: Path, loop: LoopConfig) -> bool:
    """Whether a stage has its weights, and not those of a run that the clock stopped before its last step."""
    step = saved_step(stage / "checkpoint")
    return (stage / "weights").exists() and (step is None or step >= loop.optim.steps)
