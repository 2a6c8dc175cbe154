"""Every published form of Wan against diffusers' whole pipelines on one folder: step by step, and to the last frame.

About 15 seconds, a third of them diffusers' import.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import SkyReelsV2ImageToVideoPipeline, SkyReelsV2Pipeline, WanImageToVideoPipeline, WanPipeline
from PIL import Image
from torch import Tensor

from hibari import catalog
from hibari.errors import InvalidRequest
from hibari.generate.backend import Prompt
from hibari.generate.conditions import BesideNoise, Condition, KnownFrames
from hibari.generate.fit import Fit
from hibari.generate.generator import Generator, draw_noise
from hibari.generate.plan import Plan, make_plan
from hibari.request import GenerationRequest
from hibari.shapes import VideoShape
from tiny_wan import FRAMES, HEIGHT, WIDTH, build_tiny_wan

PROMPT = Prompt("a red ball rolls to the left &amp; over the meadow", "blurred")
# A form, whether a start and an end image go with it, and the second expert's guidance.
CASES: dict[str, tuple[str, int, float | None]] = {
    "wan2.1 t2v": ("wan2.1 t2v", 0, None),
    "wan2.1 i2v": ("wan2.1 i2v", 1, None),
    "wan2.1 flf2v": ("wan2.1 flf2v", 2, None),
    "wan2.2 t2v": ("wan2.2 t2v", 0, 3.0),
    "wan2.2 i2v": ("wan2.2 i2v", 1, 3.5),
    "wan2.2 i2v with an end": ("wan2.2 i2v", 2, None),
    "wan2.2 ti2v from text": ("wan2.2 ti2v", 0, None),
    "wan2.2 ti2v from an image": ("wan2.2 ti2v", 1, None),
    "skyreels t2v": ("skyreels t2v", 0, None),
    "skyreels i2v": ("skyreels i2v", 1, None),
}
SKYREELS = (SkyReelsV2Pipeline, SkyReelsV2ImageToVideoPipeline)


def picture(seed: int) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((WIDTH, HEIGHT)))


PICTURES = [picture(3), picture(4)]


def build(folder: Path, form: str, **card: Any) -> Generator:
    model = catalog.open_folder(build_tiny_wan(folder, form, seconds=1.0, **card))
    return Generator.load(model, torch.device("cpu"), torch.float32)


def plan_of(generator: Generator) -> Plan:
    """The plan of a request; what pictures it needs is no matter here, so the card may do anything."""
    card = replace(generator.model.card, verbs=("text to video",))
    plan = make_plan(GenerationRequest(prompt=PROMPT.text), replace(generator.model, card=card), seed=5)
    assert plan.render == (FRAMES, HEIGHT, WIDTH)
    return plan


def distance(got: Tensor, want: Tensor) -> float:
    return float((got - want).abs().max() / want.abs().max())


def theirs(generator: Generator, plan: Plan, pictures: int, noise: Tensor) -> tuple[list[Tensor], np.ndarray]:
    """The clean latents that are predicted in each step, the last latent, and the frames, as diffusers makes them."""
    is_skyreels = generator.model.form.pipeline.startswith("SkyReels")
    kinds: Any = SKYREELS if is_skyreels else (WanPipeline, WanImageToVideoPipeline)
    pipeline = kinds[bool(pictures)].from_pretrained(generator.model.folder)
    pipeline.set_progress_bar_config(disable=True)
    steps, last = list[Tensor](), list[Tensor]()

    def keep(_: Any, __: int, ___: Any, values: dict[str, Tensor]) -> dict[str, Tensor]:
        steps.append(pipeline.scheduler.model_outputs[-1][0].clone())
        last[:] = [values["latents"][0].clone()]
        return values

    images = [Image.fromarray(picture) for picture in PICTURES[:pictures]]
    named = dict(zip(("image", "last_image"), images, strict=False))
    frames = pipeline(
        prompt=PROMPT.text,
        negative_prompt=PROMPT.negative,
        height=plan.render.height,
        width=plan.render.width,
        num_frames=plan.render.frames,
        num_inference_steps=plan.steps,
        guidance_scale=plan.guidance,
        **({} if plan.guidance_2 is None else {"guidance_scale_2": plan.guidance_2}),
        latents=noise[None],
        output_type="np",
        callback_on_step_end=keep,
        **named,
    ).frames[0]
    return [*steps, *last], frames


def conditions_of(generator: Generator, plan: Plan, pictures: int) -> tuple[Condition, ...]:
    return generator.know_pictures(plan, *PICTURES[:pictures]) if pictures else ()


@pytest.mark.parametrize("case", CASES)
def test_a_pipeline_of_diffusers_makes_the_same(case: str, tmp_path: Path) -> None:
    form, pictures, guidance_2 = CASES[case]
    generator = build(tmp_path / "model", form, **({} if guidance_2 is None else {"guidance_2": guidance_2}))
    plan = plan_of(generator)
    noise = draw_noise(plan.seed, generator.model.strides.latent(plan.render))
    steps, frames = theirs(generator, plan, pictures, noise)

    known, ours = conditions_of(generator, plan, pictures), list[Tensor]()
    latent = generator.make_latent(plan, PROMPT, known, on_estimate=lambda clean: ours.append(clean.clone()))
    # Of TI2V-5B, diffusers lets the first frame walk too and puts it back at the end; here it never leaves its place.
    first = 1 if form == "wan2.2 ti2v" and pictures else 0
    assert len(steps) - 1 == len(ours) == plan.steps
    for got, want in zip([*ours, latent], steps, strict=True):
        assert distance(got[:, first:], want[:, first:]) < 1e-4
    made = np.stack(list(generator.decode(latent))) / 255
    assert made.shape == frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert frames.std() > 0.01
    assert np.abs(made - frames).max() < 0.51 / 255 + 1e-4, "rounding to 8 bits, and no more"


@pytest.mark.parametrize("form", ["wan2.1 i2v", "wan2.1 flf2v", "wan2.2 i2v", "wan2.2 ti2v"])
def test_pictures_matter(form: str, tmp_path: Path) -> None:
    generator = build(tmp_path / "model", form)
    plan, pictures = plan_of(generator), [picture(6), picture(7)]
    count = 1 + (form == "wan2.1 flf2v")
    made = [
        generator.make_latent(plan, PROMPT, generator.know_pictures(plan, *shown[:count]))
        for shown in (PICTURES, pictures, [PICTURES[0], pictures[1]])
    ]
    assert distance(made[1], made[0]) > 1e-3
    assert (distance(made[2], made[0]) > 1e-3) == (count == 2)


@pytest.mark.parametrize("form", ["wan2.1 i2v", "wan2.2 i2v"])
def test_states_of_pictures_and_channels_each_matter(form: str, tmp_path: Path) -> None:
    generator = build(tmp_path / "model", form)
    plan = plan_of(generator)
    (known,) = generator.know_pictures(plan, PICTURES[0])
    assert isinstance(known, BesideNoise) and (known.pictures_ISE is not None) == (form == "wan2.1 i2v")
    latent = generator.make_latent(plan, PROMPT, [known])
    other = replace(known, channels_CTHW=known.channels_CTHW.flip(0))
    assert distance(generator.make_latent(plan, PROMPT, [other]), latent) > 1e-3
    if known.pictures_ISE is not None:
        other = replace(known, pictures_ISE=known.pictures_ISE.flip(-1))
        assert distance(generator.make_latent(plan, PROMPT, [other]), latent) > 1e-3


def test_an_end_image_may_be_the_last_latent_frame_where_a_card_says_so(tmp_path: Path) -> None:
    generator = build(tmp_path / "model", "wan2.2 ti2v", verbs=["between images"])
    plan = plan_of(generator)
    latent = generator.make_latent(plan, PROMPT, generator.know_pictures(plan, *PICTURES))
    ends = [generator.encode_picture(picture)[:, 0] for picture in PICTURES]
    assert torch.equal(latent[:, 0], ends[0]) and torch.equal(latent[:, -1], ends[1])
    assert latent.shape[1] == 3 and not torch.equal(latent[:, 1], ends[0])


def test_each_expert_has_its_levels_and_one_at_a_time_is_enough(tmp_path: Path) -> None:
    generator = build(tmp_path / "model", "wan2.2 t2v", guidance_2=1.0)
    plan, held = plan_of(generator), list[tuple[bool, bool]]()
    lean = Generator.load(generator.model, generator.device, generator.dtype, Fit(offload="parts"))

    def note(_: int) -> None:
        first, second = (expert.is_held for expert in lean.parts.experts)
        held.append((first, second))
        assert not lean.parts.text.is_held

    latent = lean.make_latent(plan, PROMPT, on_step=note)
    assert set(held) == {(True, False), (False, True)} and held == sorted(held, reverse=True)
    assert torch.equal(latent, generator.make_latent(plan, PROMPT))
    assert not torch.equal(latent, generator.make_latent(replace(plan, guidance_2=3.0), PROMPT))


class Stop(Exception):
    """What a callback raises to end a walk."""


def test_what_ends_early_leaves_no_large_part_in_memory(tmp_path: Path) -> None:
    generator = build(tmp_path / "model", "wan2.1 i2v")
    plan = plan_of(generator)
    lean = Generator.load(generator.model, generator.device, generator.dtype, Fit(offload="parts"))
    known = lean.know_pictures(plan, PICTURES[0])

    def stop(_: int) -> None:
        assert lean.parts.experts[0].is_held
        raise Stop

    with pytest.raises(Stop):
        lean.make_latent(plan, PROMPT, known, stop)
    with pytest.raises(InvalidRequest, match="at most 511"):
        lean.make_latent(plan, replace(PROMPT, negative="red " * 600), known)
    with pytest.raises(TypeError, match="data type"):
        lean.know_pictures(plan, PICTURES[0][None, None])
    parts = lean.parts
    assert parts.image is not None
    assert not (parts.image.is_held or parts.text.is_held or parts.experts[0].is_held)


def test_a_clip_that_is_half_redrawn_never_meets_the_expert_for_more_noise(tmp_path: Path) -> None:
    generator = build(tmp_path / "model", "wan2.2 t2v")
    plan = plan_of(generator)
    lean = Generator.load(generator.model, generator.device, generator.dtype, Fit(offload="parts"))
    clip, held = generator.encode_clip(iter([PICTURES[0]] * FRAMES)), set[tuple[bool, ...]]()

    def note(_: int) -> None:
        held.add(tuple(expert.is_held for expert in lean.parts.experts))

    lean.make_latent(plan, PROMPT, [KnownFrames(clip, level=0.85)], note)
    assert held == {(False, True)}, "0.85 is below 0.875, where the second expert takes over"
    held.clear()
    lean.make_latent(plan, PROMPT, [KnownFrames(clip, level=0.95)], note)
    assert held == {(True, False), (False, True)}


def test_the_shift_of_a_published_model_is_the_same_at_every_size(tmp_path: Path) -> None:
    generator = build(tmp_path / "model", "wan2.1 t2v")
    assert {generator._shift(VideoShape(9, height, 96)) for height in (64, 128, 256)} == {3.0}
    card = replace(generator.model.card, shift_grows=True)
    grows = replace(generator, model=replace(generator.model, card=card))
    assert grows._shift(VideoShape(9, 64, 96)) == 3.0 and grows._shift(VideoShape(9, 256, 96)) == 6.0
