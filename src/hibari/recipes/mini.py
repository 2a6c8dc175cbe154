"""`hibari train mini`: from the worlds to a diffusers folder that Hibari and diffusers open.

Stages, each skipped where its result is there already: render clips and train the VAE; render,
encode and cache clips of all native sizes; train the transformer; write the weights. A run that was
stopped goes on where it was.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hibari.catalog.card import VERBS
from hibari.data.clips import Renderer
from hibari.data.latents import load_parts
from hibari.errors import TrainingError
from hibari.model.dit import WanDiT
from hibari.model.text import MiniLMTextEncoder
from hibari.model.vae import WanVAE
from hibari.model.weights import load_dit, load_vae, save_dit, save_vae
from hibari.recipes.mini_cache import CPU_PARTS, NATIVE_SIZES, CacheRecipe, Sample, build_cache
from hibari.recipes.mini_dit import DiTRecipe, train_dit
from hibari.recipes.mini_samples import sampler, weights_folder
from hibari.recipes.mini_vae import VAERecipe, train_vae
from hibari.shapes import VideoShape
from hibari.worlds.vocabulary import STARTER, Vocabulary
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
    vae: VAERecipe = VAERecipe()
    cache: CacheRecipe = CacheRecipe(parts=CPU_PARTS)
    unseen: CacheRecipe = CacheRecipe(parts=HELD_OUT_PARTS, captions=1, seed=900)
    dit: DiTRecipe = DiTRecipe()


MINI = MiniRecipe()
GPU_PARTS = (
    *((w, h, 1, 4000) for w, h in NATIVE_SIZES),
    *((w, h, 21, 2500) for w, h in NATIVE_SIZES),
    *((w, h, 37, 600) for w, h in NATIVE_SIZES[:3]),
    (128, 128, 61, 600),
)
# About ten minutes for each of vae, cache and dit on one H100; give each stage a command of its own.
MINI_GPU = replace(
    MINI,
    device="cuda",
    workers=14,
    samples=(),  # they need PyAV, which a bare training machine lacks
    vae=replace(
        MINI.vae,
        clips=6000,
        phases=((4000, 1, 64), (12000, 9, 16), (14000, 17, 8)),
        loop=replace(
            MINI.vae.loop,
            optim=replace(MINI.vae.loop.optim, steps=14000),
            checkpoint_seconds=60,
            stop_after_seconds=480,
        ),
    ),
    cache=CacheRecipe(parts=GPU_PARTS, captions=3),
    dit=replace(
        MINI.dit,
        pictures_until=2000,
        pictures=replace(MINI.dit.pictures, tokens=32768),
        clips=replace(MINI.dit.clips, tokens=65536, grids=4),
        loop=replace(
            MINI.dit.loop,
            optim=replace(MINI.dit.loop.optim, steps=20000),
            checkpoint_seconds=60,
            stop_after_seconds=480,
        ),
    ),
)
# Objects that differ most in colour and outline: what the compute of a CPU learns well.
MINI_WORLD = replace(
    STARTER,
    objects=(
        "octopus", "panda", "rocket", "red heart", "snowman", "pumpkin", "crab", "whale",
        "penguin", "frog", "ghost", "star", "ladybug", "teddy bear", "helicopter", "butterfly",
    ),
    motions=("still", "left", "right", "up", "down", "bounces", "grows"),
    counts=(0.95, 0.05),
)  # fmt: skip


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
    base = _base_weights(recipe)
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
            export(out, base)
    return out / "weights"


def export(out: Path, base: Path) -> None:
    """Put transformer, VAE, text encoder, tokenizer, scheduler, card and the world's words into `out/weights`."""
    folder = out / "weights"
    weights_folder(folder, base, out / "vae" / "weights")
    save_vae(load_vae(out / "vae" / "weights", torch.device("cpu"), torch.float32), folder / "vae", torch.bfloat16)
    save_dit(
        load_dit(out / "dit" / "weights", torch.device("cpu"), torch.float32), folder / "transformer", torch.bfloat16
    )
    digest = hashlib.sha256()
    for part in ("transformer", "vae"):
        digest.update((folder / part / "diffusion_pytorch_model.safetensors").read_bytes())
    write_cards(folder, digest.hexdigest()[:12])


def write_cards(folder: Path, revision: str) -> None:
    """Write what the model can do, and the words of its world, beside its weights."""
    (folder / "hibari.json").write_text(json.dumps(model_card(revision), indent=1) + "\n")
    (folder / "world.json").write_text(json.dumps(world_card(MINI_WORLD), indent=1) + "\n")


def world_card(vocabulary: Vocabulary) -> dict[str, list[str]]:
    """What a model of this vocabulary can draw, and every word that its captions use (`world.json`)."""
    world, shapes = World(vocabulary=vocabulary), (VideoShape(21, 112, 192), VideoShape(1, 112, 192))
    captions = [world.scene(seed, shape).caption for shape in shapes for seed in range(4000)]
    return {
        "objects": list(vocabulary.objects),
        "motions": list(vocabulary.motions),
        "backgrounds": list(vocabulary.backgrounds),
        "words": sorted({word for caption in captions for word in re.findall(r"[a-z']+", caption.lower())}),
    }


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


def make_renderer(shape: VideoShape, held_out: bool) -> Renderer:
    """A function from a seed to the frames of its scene; called once in each rendering process."""
    return partial(_render, World(), shape, held_out)


def make_sampler(shape: VideoShape, captions: int, held_out: bool) -> Callable[[int], Sample]:
    """A function from a seed to a sample of the cache; called once in each rendering process."""
    # A held-out scene shows one thing: few places hold out two of them at once.
    words = replace(MINI_WORLD, counts=(1.0,)) if held_out else MINI_WORLD
    return partial(_sample, World(vocabulary=words), shape, captions, held_out)


def _render(world: World, shape: VideoShape, held_out: bool, seed: int) -> np.ndarray:
    return world.scene(seed, shape, held_out=held_out).render()


def _sample(world: World, shape: VideoShape, captions: int, held_out: bool, seed: int) -> Sample:
    scene = world.scene(seed, shape, held_out=held_out)
    labels = asdict(scene.labels)
    alone = replace(world.vocabulary, objects=scene.labels.objects[:1], counts=(1.0,))
    picture = World(world.pack, alone).scene(seed + 1, VideoShape(1, shape.height, shape.width))
    reference = None if shape.frames == 1 else picture.render()[0]
    tellings = [world.scene(seed, shape, held_out=held_out, telling=i).caption for i in range(captions)]
    return Sample(scene.render(), reference, tellings, labels)


def _base_weights(recipe: MiniRecipe) -> Path:
    if recipe.base:
        return Path(recipe.base)
    for point in entry_points(group="hibari.weights", name="hibari-mini"):
        folder: Path = point.load()()
        return folder
    raise TrainingError(
        "the text encoder of hibari-mini is not installed.",
        hint="pip install ./weights, or --set base=FOLDER with text_encoder/ and tokenizer/ in it.",
    )


def _vae_stage(out: Path, recipe: MiniRecipe, device: torch.device) -> None:
    done = out / "vae" / "weights"
    if done.exists():
        return
    start = None
    if recipe.start_from:
        start = load_vae(Path(recipe.start_from) / "vae", device, torch.float32)
    vae = train_vae(out / "vae", recipe.vae, make_renderer, device, recipe.workers, start)
    save_vae(vae, done, torch.float32)


def _cache_stage(out: Path, recipe: MiniRecipe, text: MiniLMTextEncoder, device: torch.device) -> None:
    vae: WanVAE = load_vae(out / "vae" / "weights", device, torch.bfloat16)
    models = (vae, text)
    build_cache(out / "unseen", recipe.unseen, make_sampler, models, recipe.workers, held_out=True)
    build_cache(out / "cache", recipe.cache, make_sampler, models, recipe.workers)


def _dit_stage(out: Path, recipe: MiniRecipe, text: MiniLMTextEncoder, base: Path, home: Path | None) -> None:
    done, device = out / "dit" / "weights", torch.device(recipe.device)
    if done.exists():
        return
    start: WanDiT | None = None
    if recipe.start_from:
        start = load_dit(Path(recipe.start_from) / "transformer", device, torch.float32)
    sample = None
    if recipe.samples:
        folder = weights_folder(out / "samples" / "weights", base, out / "vae" / "weights")
        write_cards(folder, "training")
        sample = sampler(out / "samples", folder, recipe.samples, device, home)
    parts, unseen = load_parts(out / "cache"), load_parts(out / "unseen")
    empty: Tensor = text.encode([""])[0]
    dit = train_dit(out / "dit", recipe.dit, parts, unseen, empty, device, sample, start)
    save_dit(dit, done, torch.float32)
