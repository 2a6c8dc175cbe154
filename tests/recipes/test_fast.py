"""`hibari train mini-fast` at tiny size: the walks are the sampler's, the file is diffusers', a stop changes nothing.

About 20 seconds.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline
from safetensors.torch import load_file
from torch import Tensor

from hibari.catalog import Fast, fast_lora, open_folder
from hibari.data.trajectories import load_trajectories
from hibari.errors import TrainingError
from hibari.generate.backend import Prompt
from hibari.generate.conditions import KnownFrames
from hibari.generate.generator import Generator, draw_noise
from hibari.generate.loras import laid_on
from hibari.generate.plan import Plan, make_plan
from hibari.model.dit import WanDiT
from hibari.model.packing import pack, unpack
from hibari.model.weights import load_dit
from hibari.recipes import run
from hibari.recipes.fast_student import as_student, walk_alone
from hibari.recipes.fast_walks import Start, Teacher, field, walk, walk_behind
from hibari.request import GenerationRequest
from hibari.train.checkpoint import saved_step
from tiny_fast import SETTINGS, build_teacher

PROMPT = "a panda bounces on a green meadow"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_teacher(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def run_folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run("mini-fast", [*SETTINGS, f"base={base}"], tmp_path_factory.mktemp("home")).parent


@pytest.fixture(scope="module")
def generator(run_folder: Path) -> Generator:
    return Generator.load(open_folder(run_folder / "weights"), CPU, torch.float32)


def plan_of(generator: Generator, **asked: Any) -> Plan:
    return make_plan(GenerationRequest(prompt=PROMPT, seconds=0.5, **asked), generator.model, 3)


def teacher_of(generator: Generator) -> Teacher:
    (empty,) = generator.parts.text().encode([""])
    return Teacher(model=generator.model, dit=generator.parts.experts[0](), empty_text=empty)


def start_of(generator: Generator, noises: list[Tensor], known: int = 0) -> Start:
    (states,) = generator.parts.text().encode([PROMPT])
    patches_LP, layout = pack(noises, (1, 1, 1))
    known_F = torch.arange(noises[0].shape[1]).repeat(len(noises)) < known
    return Start(patches_LP, layout, known_F, [states] * len(noises))


@torch.inference_mode()
def test_the_teachers_walk_is_the_samplers_own(generator: Generator) -> None:
    plan, teacher = plan_of(generator), teacher_of(generator)
    shape = generator.model.strides.latent(plan.render)
    noises = [draw_noise(seed, shape) for seed in (3, 4)]
    levels = teacher.levels(generator.model.strides.grid(shape))
    for known in (0, 1):
        picture = torch.randn(48, 1, 4, 6, generator=torch.Generator().manual_seed(1))
        begun = [torch.cat([picture, noise[:, 1:]], dim=1) if known else noise for noise in noises]
        start = start_of(generator, begun, known)
        led = field(teacher.dit, start, teacher.empty_text, teacher.model.card.guidance)
        states, velocities = walk(led, "unipc", start.patches_LP, levels, 2)
        end_LP = states[-1] - (levels[2] - levels[4]) * velocities[-1]
        conditions = [KnownFrames(picture)] if known else []
        for noise, end in zip(noises, unpack(end_LP, start.layout, 48, (1, 1, 1)), strict=True):
            theirs = generator.make_latent(plan, Prompt(PROMPT), conditions, noise_CTHW=noise)
            torch.testing.assert_close(end, theirs, rtol=0, atol=1e-4)
        first = unpack(velocities[0], start.layout, 48, (1, 1, 1))[0]
        assert bool((first[:, :known] == 0).all()), "what is known stands still"


@torch.inference_mode()
def test_behind_a_student_the_teacher_leaves_from_where_that_is() -> None:
    def teacher(x: Tensor, level: float) -> Tensor:
        return x * level

    def student(x: Tensor, level: float) -> Tensor:
        return x + level

    x, levels = torch.tensor([2.0, -1.0]), [1.0, 0.75, 0.5, 0.25, 0.0]
    states, velocities = walk_behind(teacher, student, "euler", x, levels, 2)
    second = x - 0.5 * (x + 1.0)
    torch.testing.assert_close(states, torch.stack([x, second]))
    end = second - 0.25 * 0.5 * second
    end = end - 0.25 * 0.25 * end
    torch.testing.assert_close(velocities[1], (second - end) / 0.5)


def test_walks_on_disk_hold_together(run_folder: Path) -> None:
    parts = load_trajectories(run_folder / "walks-1")
    assert sum(map(len, parts)) == 7 and {part.beside for part in parts} == {0, 1}
    assert any(bool(part.known[:, : part.grid.frames - part.beside].any()) for part in parts), "some frames are known"
    for part in parts:
        for k, (s, t) in enumerate(pairwise(part.levels.tolist()[:-1])):
            there = part.states[:, k].float() - (s - t) * part.velocities[:, k].float()
            torch.testing.assert_close(there, part.states[:, k + 1].float(), atol=0.05, rtol=0.02)
        known = part.known[:, None, None, :, None, None].expand_as(part.velocities)
        assert bool((part.velocities[known] == 0).all()), "what is known stands still"


@torch.inference_mode()
def test_the_file_makes_of_the_teacher_what_was_trained(run_folder: Path, base: Path, generator: Generator) -> None:
    part = load_trajectories(run_folder / "walks-unseen")[0]
    bare, dit = teacher_of(generator).dit, trained_student(run_folder, base)
    with laid_on(bare, [fast_lora(generator.model)]):
        ours = walk_alone(bare, part, [0, 1], CPU)
    theirs = walk_alone(dit, part, [0, 1], CPU)
    moved = walk_alone(bare, part, [0, 1], CPU) - ours
    off = float((ours - theirs).square().mean().sqrt())
    assert off < 0.1 * float(moved.square().mean().sqrt()), (
        "nearer than the bare model by far: bf16 there, float32 here"
    )


def trained_student(run_folder: Path, base: Path) -> WanDiT:
    dit = load_dit(base / "transformer", CPU, torch.bfloat16)
    as_student(dit, 4, 0).load_state_dict(load_file(run_folder / "student-1" / "trained.safetensors"))
    return dit


def test_diffusers_makes_the_same_latents_with_the_file(run_folder: Path, generator: Generator) -> None:
    """WanPipeline with the file, guidance 1 and a first-order solver without corrections, as docs/model.md has it."""
    folder = run_folder / "weights"
    pipeline: Any = WanPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(folder, subfolder="loras", weight_name="fast.safetensors")
    config = pipeline.scheduler.config
    pipeline.scheduler = UniPCMultistepScheduler.from_config(config, solver_order=1, disable_corrector=[0, 1])
    plan = plan_of(generator, fast=True)
    assert (plan.steps, plan.guidance, plan.solver) == (2, 1.0, "euler")
    noise = draw_noise(5, generator.model.strides.latent(plan.render))
    ours = generator.make_latent(plan, Prompt(PROMPT), noise_CTHW=noise)
    theirs = pipeline(
        PROMPT,
        height=64,
        width=96,
        num_frames=plan.render.frames,
        num_inference_steps=2,
        guidance_scale=1.0,
        latents=noise[None],
        output_type="latent",
    ).frames[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))
    bare = generator.make_latent(replace(plan, fast=None), Prompt(PROMPT), noise_CTHW=noise)
    assert float((bare - ours).abs().max()) > 1e-3, "the file changes what is made"


def test_the_card_and_the_log_say_what_it_is(run_folder: Path) -> None:
    card = open_folder(run_folder / "weights").card
    assert card.fast == Fast(lora="loras/fast.safetensors", steps=2) and card.steps == 4
    rows = [json.loads(row) for row in (run_folder / "student-1" / "log.jsonl").read_text().splitlines()]
    (*_, last) = [row["measure"] for row in rows if "measure" in row]
    assert set(last) == {"loss_0", "loss_1", "mean", "end"} and last["end"] > 0


def test_a_run_that_is_stopped_ends_with_the_same_numbers(run_folder: Path, base: Path, tmp_path: Path) -> None:
    for walks in ("walks-1", "walks-unseen"):
        (tmp_path / walks).symlink_to(run_folder / walks)
    stopped = [*SETTINGS, f"base={base}", f"out={tmp_path}", 'stages=["student"]']
    stopped.append("student.loop.stop_after_seconds=0.000001")
    for _ in range(6):  # a step each
        run("mini-fast", stopped)
    assert saved_step(tmp_path / "student-1" / "checkpoint") == 6
    ours, theirs = (load_file(folder / "student-1" / "trained.safetensors") for folder in (tmp_path, run_folder))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_second_round_follows_the_student_and_all_weights_can_be_trained(
    run_folder: Path, base: Path, tmp_path: Path
) -> None:
    for name in ("cache", "unseen", "walks-1", "walks-unseen", "student-1"):
        (tmp_path / name).symlink_to(run_folder / name)
    run("mini-fast", [*SETTINGS, f"base={base}", f"out={tmp_path}", "rounds=2"])
    first, second = (load_trajectories(tmp_path / f"walks-{number}") for number in (1, 2))
    assert not torch.equal(first[0].states, second[0].states), "noise of its own"
    assert open_folder(tmp_path / "weights").card.fast is not None
    whole = tmp_path / "whole"
    whole.mkdir()
    for name in ("cache", "unseen", "walks-1", "walks-unseen"):
        (whole / name).symlink_to(run_folder / name)
    run("mini-fast", [*SETTINGS, f"base={base}", f"out={whole}", "student.rank=0"])
    card = open_folder(whole / "weights").card
    assert (card.fast, card.steps, card.guidance, card.solver) == (None, 2, 1.0, "euler")


def test_what_cannot_be_is_said_at_once(base: Path, run_folder: Path, tmp_path: Path) -> None:
    settings = [*SETTINGS, f"base={base}", f"out={tmp_path}"]
    with pytest.raises(TrainingError, match="do not divide into 3"):
        run("mini-fast", [*settings, "steps=3"])
    with pytest.raises(TrainingError, match="unknown stage 'bake'"):
        run("mini-fast", [*settings, 'stages=["bake"]'])
    (tmp_path / "teacher.sha256").write_text("0" * 64)
    with pytest.raises(TrainingError, match="what other weights taught"):
        run("mini-fast", settings)
    (tmp_path / "teacher.sha256").unlink()
    (tmp_path / "cache").symlink_to(run_folder / "cache")
    (tmp_path / "unseen").symlink_to(run_folder / "unseen")
    with pytest.raises(TrainingError, match="at most 1e-06 are allowed"):
        run("mini-fast", [*settings, "walks.most_gb=0.000001", 'stages=["walks"]'])
    with pytest.raises(TrainingError, match="9 walks of 96x64x5, and the cache has 4 such clips"):
        run("mini-fast", [*settings, "walks.parts=[[96,64,5,9]]", 'stages=["walks"]'])
