"""SkyReels-V2's diffusion forcing against diffusers' whole pipelines on one folder: the latents from the same noise.

Frames together and one block after the other, in one window and in several, from text and from an image, and through
Hibari's own road. About 20 seconds, a third of them diffusers' import.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    SkyReelsV2DiffusionForcingImageToVideoPipeline,
    SkyReelsV2DiffusionForcingPipeline,
    UniPCMultistepScheduler,
)
from PIL import Image
from torch import Tensor

from hibari import catalog
from hibari.catalog import Rolling
from hibari.generate.backend import Prompt
from hibari.generate.generator import VEIL_SEED, Generator
from hibari.generate.plan import Plan, make_plan
from hibari.request import GenerationRequest
from tiny_wan import HEIGHT, WIDTH, build_tiny_wan

PROMPT = Prompt("a red ball rolls to the left over the meadow", "blurred")
SEED, STEPS = 5, 4
# Latent frames in all, and how they are made.
CASES = {
    "in one go": (3, Rolling(window=5, history=2)),
    "windows": (11, Rolling(window=5, history=2)),
    "windows without a veil": (9, Rolling(window=5, history=1, noise=0.0)),
    "blocks one after the other": (6, Rolling(window=6, history=2, block=2, lag=2)),
    "frames one after the other": (4, Rolling(window=4, history=1, lag=1)),
    "blocks that wait for the end of the last": (6, Rolling(window=6, history=2, block=2, lag=9)),
    "windows of blocks": (8, Rolling(window=4, history=2, block=2, lag=2)),
}
IMAGE_CASES = ("in one go", "windows without a veil", "windows", "frames one after the other")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    folder = build_tiny_wan(tmp_path_factory.mktemp("df") / "model", "skyreels df", max_seconds=20.0)
    return Generator.load(catalog.open_folder(folder), torch.device("cpu"), torch.float32)


def planned(generator: Generator, frames: int, rolling: Rolling, image: Path | None = None) -> tuple[Generator, Plan]:
    """The generator with a card that says so, and its plan for so many latent frames."""
    card = replace(generator.model.card, rolling=rolling, steps=STEPS)
    other = replace(generator, model=replace(generator.model, card=card))
    seconds = (4 * (frames - 1) + 1) / card.fps
    request = GenerationRequest(prompt=PROMPT.text, negative=PROMPT.negative, seconds=seconds, image=image)
    return other, make_plan(request, other.model, SEED)


class OwnSample(UniPCMultistepScheduler):
    """UniPC that keeps a sample of its own.

    The pipelines hand over each frame as a view and write the outcome back into it. So what the scheduler remembers of
    its first step is overwritten, and the correction of that step starts from the wrong place.
    """

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, **named: Any) -> Any:
        return super().step(model_output, timestep, sample.clone(), **named)


def theirs(generator: Generator, plan: Plan, rolling: Rolling, image: Image.Image | None = None) -> Tensor:
    kind: Any = SkyReelsV2DiffusionForcingPipeline if image is None else SkyReelsV2DiffusionForcingImageToVideoPipeline
    pipeline = kind.from_pretrained(generator.model.folder)
    pipeline.scheduler = OwnSample.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    in_one_go = len(plan.windows) < 2
    named: dict[str, Any] = {} if image is None else {"image": image}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED + VEIL_SEED)  # it draws the noise through which it looks from the global generator
        latents: Tensor = pipeline(
            prompt=PROMPT.text,
            negative_prompt=PROMPT.negative,
            height=HEIGHT,
            width=WIDTH,
            num_frames=plan.render.frames,
            num_inference_steps=STEPS,
            guidance_scale=plan.guidance,
            generator=torch.Generator().manual_seed(SEED),
            output_type="latent",
            overlap_history=None if in_one_go else 4 * (rolling.history - 1) + 1,
            addnoise_condition=0 if in_one_go else round(1000 * rolling.noise),
            base_num_frames=plan.render.frames if in_one_go else 4 * (rolling.window - 1) + 1,
            ar_step=rolling.lag,
            causal_block_size=rolling.block if rolling.block > 1 else None,
            fps=generator.model.card.fps,
            max_sequence_length=512,
            **named,
        ).frames[0]
    return latents


def close(ours: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(ours, want, atol=1e-4 * want.abs().max().item(), rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_text_to_video(generator: Generator, case: str) -> None:
    frames, rolling = CASES[case]
    ours, plan = planned(generator, frames, rolling)
    told: list[int] = []
    made = ours.make_latent(plan, PROMPT, on_step=told.append)
    close(made, theirs(ours, plan, rolling))
    assert told == list(range(1, plan.visits + 1)), "every visit is told, over all windows"


@pytest.mark.parametrize("case", IMAGE_CASES)
def test_image_to_video(generator: Generator, case: str, tmp_path: Path) -> None:
    frames, rolling = CASES[case]
    noise = np.random.default_rng(3).integers(0, 255, (4, 6, 3), np.uint8)
    image = Image.fromarray(noise).resize((WIDTH, HEIGHT))
    image.save(tmp_path / "start.png")
    ours, plan = planned(generator, frames, rolling, tmp_path / "start.png")
    known = ours.know_pictures(plan, np.asarray(image))
    close(ours.make_latent(plan, PROMPT, known), theirs(ours, plan, rolling, image))
