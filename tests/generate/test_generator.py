"""The generator against diffusers' WanPipeline on one folder, and what a seed and a condition promise.

About 12 seconds, half of them diffusers' import.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hibari import catalog
from hibari.config import Settings
from hibari.generate.backend import Prompt
from hibari.generate.conditions import KnownFrames, References, State
from hibari.generate.generator import Generator, draw_noise
from hibari.generate.plan import Plan, make_plan
from hibari.request import GenerationRequest

PROMPT = Prompt("an octopus drifts to the left", "blurred")


@pytest.fixture(scope="module")
def generator(home: Path) -> Generator:
    model = catalog.find("tiny", Settings(home=home))
    return Generator.load(model, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def plan(generator: Generator) -> Plan:
    return make_plan(GenerationRequest(prompt=PROMPT.text), generator.model, seed=5)


def frames_of(generator: Generator, latent_CTHW: Tensor) -> np.ndarray:
    return np.stack(list(generator.decode(latent_CTHW)))


def test_wan_pipeline_makes_the_same_frames(generator: Generator, plan: Plan) -> None:
    from diffusers import WanPipeline

    pipeline = WanPipeline.from_pretrained(generator.model.folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = draw_noise(5, generator.model.strides.latent(plan.render))
    theirs = pipeline(
        PROMPT.text,
        negative_prompt=PROMPT.negative,
        height=plan.render.height,
        width=plan.render.width,
        num_frames=plan.render.frames,
        num_inference_steps=plan.steps,
        guidance_scale=plan.guidance,
        latents=noise[None],
        output_type="np",
    ).frames[0]
    ours = frames_of(generator, generator.make_latent(plan, PROMPT)) / 255
    assert ours.shape == theirs.shape == (9, 64, 96, 3)
    psnr = -10 * np.log10(np.mean((ours - theirs) ** 2))
    assert psnr > 50, f"{psnr:.1f} dB; rounding to 8 bits alone leaves 59"


def test_a_seed_gives_the_same_frames_again_and_another_seed_others(generator: Generator, plan: Plan) -> None:
    first, again = generator.make_latent(plan, PROMPT), generator.make_latent(plan, PROMPT)
    assert torch.equal(first, again)
    assert np.array_equal(frames_of(generator, first), frames_of(generator, again))
    assert not torch.equal(first, generator.make_latent(replace(plan, seed=6), PROMPT))


def test_frames_come_one_by_one_and_are_those_of_a_whole_decode(generator: Generator, plan: Plan) -> None:
    latent_CTHW = generator.make_latent(plan, PROMPT)
    with torch.inference_mode():
        whole = generator.vae.decode(generator.vae.denormalise(latent_CTHW[None]))[0]
    expected = ((whole + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 3, 0).numpy()
    got = frames_of(generator, latent_CTHW)
    assert got.dtype == np.uint8 and got.shape == (9, 64, 96, 3)
    assert np.abs(got - expected).max() <= 1


def test_a_start_frame_is_kept_and_matters(generator: Generator, plan: Plan) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    known = generator.encode_picture(picture)
    with_start = generator.make_latent(plan, PROMPT, [KnownFrames(known)])
    without = generator.make_latent(plan, PROMPT)
    assert torch.equal(with_start[:, :1], known), "bit for bit"
    assert not torch.equal(with_start[:, 1:], without[:, 1:]), "the other frames see it"
    half = generator.make_latent(plan, PROMPT, [KnownFrames(known, level=0.5)])
    assert not torch.equal(half[:, :1], known)
    forgotten = generator.make_latent(plan, PROMPT, [KnownFrames(known, level=1.0)])
    torch.testing.assert_close(forgotten, without)


def test_a_clip_is_encoded_in_pieces_as_it_is_whole(generator: Generator) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (13, 64, 96, 3), dtype=np.uint8)
    with torch.inference_mode():
        mean, _ = generator.vae.encode(generator._pixels(frames))
        whole = generator.vae.normalise(mean)[0]
    torch.testing.assert_close(generator.encode_clip(iter(frames)), whole, atol=1e-4, rtol=1e-4)


def test_a_reference_stands_beside_the_video(generator: Generator, plan: Plan) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    reference = References(generator.encode_picture(picture))
    with_reference, without = (generator.make_latent(plan, PROMPT, known) for known in ([reference], []))
    assert with_reference.shape == without.shape, "it is no frame of the video"
    assert not torch.equal(with_reference, without)


def test_known_positions_inside_a_frame_use_a_level_per_token(generator: Generator, plan: Plan) -> None:
    class LeftHalf:
        def apply(self, state: State) -> State:
            scale_THW, latent_CTHW = state.scale_THW.clone(), state.latent_CTHW.clone()
            scale_THW[:, :, :3], latent_CTHW[:, :, :, :3] = 0, 0
            return replace(state, scale_THW=scale_THW, latent_CTHW=latent_CTHW)

    latent_CTHW = generator.make_latent(plan, PROMPT, [LeftHalf()])
    assert bool((latent_CTHW[:, :, :, :3] == 0).all())
    assert float(latent_CTHW[:, :, :, 3:].std()) > 0.1


def test_guidance_of_one_ignores_the_negative(generator: Generator, plan: Plan) -> None:
    alone = replace(plan, guidance=1.0)
    first = generator.make_latent(alone, PROMPT)
    assert torch.equal(first, generator.make_latent(alone, Prompt(PROMPT.text, "something else")))
    guided = generator.make_latent(replace(plan, guidance=1.0 + 1e-6), PROMPT)
    torch.testing.assert_close(first, guided, atol=1e-3, rtol=0)


def test_a_flow_shift_moves_the_steps(generator: Generator, plan: Plan) -> None:
    own = generator.make_latent(plan, PROMPT)
    assert torch.equal(own, generator.make_latent(replace(plan, flow_shift=generator.model.flow_shift), PROMPT))
    assert not torch.equal(own, generator.make_latent(replace(plan, flow_shift=20.0), PROMPT))


def test_steps_are_told_and_can_be_stopped(generator: Generator, plan: Plan) -> None:
    told: list[int] = []

    def stop(done: int) -> None:
        told.append(done)
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        generator.make_latent(plan, PROMPT, on_step=stop)
    assert told == [1, 2]


def test_the_shift_grows_with_the_picture(generator: Generator, plan: Plan) -> None:
    default = generator._shift(plan.render)
    assert default == generator.model.flow_shift
    assert generator._shift(plan.render._replace(height=256, width=96)) == pytest.approx(2 * default)
