"""`hibari train mini-fast`: a version of a model that makes a clip in a few steps without guidance, as a LoRA.

Stages, each skipped where its result is there already: clean clips for captions, start frames and reference pictures;
the teacher's walks (`fast_walks`); the student (`fast_student`), both once in every round; a weights folder that is the
teacher's with the file and its entry on the card. A run that was stopped goes on where it was.
"""

import json
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hibari.catalog import Fast, Model, open_folder
from hibari.catalog.card import FILE
from hibari.data.latents import load_parts
from hibari.data.trajectories import TrajectoryPart, load_trajectories
from hibari.errors import TrainingError
from hibari.model.dit import WanDiT
from hibari.model.text import MiniLMTextEncoder
from hibari.model.weights import load_dit, load_vae, save_dit
from hibari.model.weights.lora import save_lora
from hibari.recipes.fast_student import StudentRecipe, as_student, train_student
from hibari.recipes.fast_walks import Teacher, WalkRecipe, make_walks
from hibari.recipes.mini import HELD_OUT_PARTS, base_weights
from hibari.recipes.mini_cache import NATIVE_SIZES, CacheRecipe, build_cache
from hibari.recipes.mini_world import WorldRecipe, make_sampler
from hibari.train.checkpoint import saved_step
from hibari.train.low_rank import LowRank

STAGES = ("cache", "walks", "student", "export")
LORA = "loras/fast.safetensors"

# Most of the default size, at the default length and shorter; of the others enough that each is seen.
PARTS = (
    (192, 112, 37, 1200),
    (192, 112, 21, 1200),
    (192, 112, 61, 240),
    *((w, h, 21, n) for (w, h), n in zip(NATIVE_SIZES[1:], (480, 480, 240, 240, 192, 192, 96, 96), strict=True)),
    *((w, h, 37, 96) for w, h in NATIVE_SIZES[1:3]),
    *((w, h, 1, n) for (w, h), n in zip(NATIVE_SIZES, (720, *(96,) * 8), strict=True)),
)


@dataclass(frozen=True, kw_only=True)
class FastRecipe:
    """Everything that makes the fast version. Folders are strings so that `--set` reaches them.

    out: where the run lives ("": under the home). base: the teacher's weights folder ("": the installed hibari-mini).
    latents: a run's folder whose `cache` and `unseen` are latents of the teacher's VAE ("": they are made here).
    steps: the student's; the teacher's steps must be a multiple. rounds: in the first the teacher walks, in each
    further one the student does. default: whether the card says that requests are made by it unless they say otherwise.
    """

    out: str = ""
    base: str = ""
    latents: str = ""
    device: str = "cpu"
    workers: int = 2
    threads: int = 0
    stages: tuple[str, ...] = STAGES
    steps: int = 4
    rounds: int = 2
    default: bool = False
    world: WorldRecipe = WorldRecipe()
    walks: WalkRecipe = WalkRecipe(parts=PARTS)
    unseen: WalkRecipe = WalkRecipe(parts=HELD_OUT_PARTS, at_once=8, seed=950)
    student: StudentRecipe = StudentRecipe()


MINI_FAST = FastRecipe()


@dataclass(frozen=True)
class _Run:
    """One run: its recipe, its folder, and the model that it starts from."""

    recipe: FastRecipe
    out: Path
    base: Model
    device: torch.device

    def dit(self) -> WanDiT:
        return load_dit(self.base.places["transformer"], self.device, torch.bfloat16)

    def text(self) -> MiniLMTextEncoder:
        return MiniLMTextEncoder.load(self.base.folder, device=self.device)

    def teacher(self) -> Teacher:
        return Teacher(model=self.base, dit=self.dit(), empty_text=self.text().encode([""])[0].to(self.device))

    def done(self, number: int) -> Path:
        """The trained numbers of a round's student."""
        return self.out / f"student-{number}" / "trained.safetensors"

    def student(self, number: int) -> tuple[WanDiT, nn.Module]:
        """The transformer with the student of a round on it, and what is trained of it; 0: as it is before training."""
        dit = self.dit()
        trained = as_student(dit, self.recipe.student.rank, self.recipe.student.seed)
        if number:
            trained.load_state_dict(load_file(self.done(number)))
        return dit, trained


def run(recipe: FastRecipe, out: Path) -> Path:
    """Run the recipe's stages in the folder `out`; returns the folder of finished weights, `out/weights`."""
    if unknown := sorted(set(recipe.stages) - set(STAGES)):
        raise TrainingError(f"unknown stage {unknown[0]!r}.", hint=f"Stages are {', '.join(STAGES)}.")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    base = open_folder(base_weights(recipe.base))
    if base.card.steps % recipe.steps or not (base.folder / FILE).is_file():
        raise TrainingError(
            f"{base.folder} has no card, or its {base.card.steps} steps do not divide into {recipe.steps}.",
            hint=f"Give a weights folder with a {FILE}, and another number of steps.",
        )
    out.mkdir(parents=True, exist_ok=True)
    _check_teacher(out / "teacher.sha256", base)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    this = _Run(recipe, out, base, torch.device(recipe.device))
    if "cache" in recipe.stages and not recipe.latents:
        _cache_stage(this)
    for number in range(1, recipe.rounds + 1):
        if "walks" in recipe.stages:
            sys.stderr.write(f"round {number}: walks\n")
            _walks_stage(this, number)
        if "student" in recipe.stages:
            sys.stderr.write(f"round {number}: student\n")
            _student_stage(this, number)
    if "export" in recipe.stages:
        _export(this)
    return out / "weights"


def _check_teacher(path: Path, base: Model) -> None:
    """Raise TrainingError where the walks in a run's folder are those of other weights; a new run notes its own."""
    if not path.exists():
        path.write_text(base.weights_sha256)
    if path.read_text() != base.weights_sha256:
        raise TrainingError(f"{path.parent} holds what other weights taught.", hint="Choose another `out` folder.")


def _cache_stage(this: _Run) -> None:
    recipe = this.recipe
    models = (load_vae(this.base.places["vae"], this.device, torch.bfloat16), this.text())
    for name, walks in (("unseen", recipe.unseen), ("cache", recipe.walks)):
        cache = CacheRecipe(parts=walks.parts, captions=1, seed=walks.seed)
        sampler = partial(make_sampler, recipe.world, cache.captions, name == "unseen")
        build_cache(this.out / name, cache, sampler, models, recipe.workers)


def _walks_stage(this: _Run, number: int) -> None:
    recipe, teacher = this.recipe, this.teacher()
    latents = Path(recipe.latents) if recipe.latents else this.out
    if number == 1:
        unseen = load_parts(latents / "unseen")
        make_walks(this.out / "walks-unseen", recipe.unseen, unseen, teacher, recipe.steps, None)
    student = this.student(number - 1)[0] if number > 1 else None
    # Each round has noise of its own.
    own = replace(recipe.walks, seed=recipe.walks.seed + number - 1)
    make_walks(this.out / f"walks-{number}", own, load_parts(latents / "cache"), teacher, recipe.steps, student)


def _student_stage(this: _Run, number: int) -> None:
    finished = saved_step(this.done(number).parent / "checkpoint") or 0
    if this.done(number).exists() and finished >= this.recipe.student.loop.optim.steps:  # the clock may have stopped it
        return
    parts: list[TrajectoryPart] = []
    for earlier in range(1, number + 1):
        parts += load_trajectories(this.out / f"walks-{earlier}")
    unseen = load_trajectories(this.out / "walks-unseen")
    dit, trained = this.student(number - 1)
    averaged = train_student(this.done(number).parent, this.recipe.student, dit, trained, parts, unseen)
    fresh = this.done(number).with_suffix(".new")
    save_file({name: value.contiguous() for name, value in averaged.items()}, fresh)
    fresh.rename(this.done(number))


def _export(this: _Run) -> None:
    """The teacher's folder with the fast version in it; a student of all weights takes the teacher's place instead."""
    recipe, folder = this.recipe, this.out / "weights"
    dit, trained = this.student(recipe.rounds)
    shutil.copytree(this.base.folder, folder, dirs_exist_ok=True)
    card = json.loads((this.base.folder / FILE).read_text(encoding="utf-8"))
    fast = Fast(lora=LORA, steps=recipe.steps, default=recipe.default)
    if isinstance(trained, LowRank):
        averaged: dict[str, Tensor] = load_file(this.done(recipe.rounds))
        save_lora(trained.by_layer(averaged), folder / LORA, torch.bfloat16)
        card["fast"] = asdict(fast)
    else:
        save_dit(dit, folder / "transformer", torch.bfloat16)
        card |= {"steps": fast.steps, "guidance": fast.guidance, "solver": fast.solver, "revision": "fast"}
    (folder / FILE).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
