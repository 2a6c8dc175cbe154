"""The weights that ship: diffusers opens them unchanged and makes the same frames. About 20 seconds.

While the distribution holds no transformer yet, the tiny random pipeline stands in, at the same render size.
"""

import json

import numpy as np
import pytest
import torch

import hibari_mini
from conftest import CARD
from hibari import catalog
from hibari.evaluate.reconstruction import psnr
from hibari.generate.backend import Prompt
from hibari.generate.generator import Generator, draw_noise
from hibari.generate.plan import make_plan
from hibari.request import GenerationRequest
from tiny_pipeline import build_tiny_pipeline

PROMPT = Prompt("an octopus drifts to the right over the ocean at sunset", "a blurred picture")
SECONDS, SEED = 0.75, 7
LEAST = 40.0  # dB


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> catalog.Model:
    shipped = hibari_mini.path()
    if (shipped / "transformer").is_dir():
        return catalog.open_folder(shipped)
    folder = build_tiny_pipeline(tmp_path_factory.mktemp("stand-in") / "model")
    (folder / "hibari.json").write_text(json.dumps(CARD | {"sizes": ["192x112"]}))
    return catalog.open_folder(folder)


def test_wan_pipeline_makes_the_same_frames_in_float32_at_the_default_size(model: catalog.Model) -> None:
    from diffusers import WanPipeline

    plan = make_plan(GenerationRequest(prompt=PROMPT.text, negative=PROMPT.negative, seconds=SECONDS), model, SEED)
    generator = Generator.load(model, torch.device("cpu"), torch.float32)
    ours = np.stack(list(generator.decode(generator.make_latent(plan, PROMPT))))
    pipeline = WanPipeline.from_pretrained(model.folder)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        PROMPT.text,
        negative_prompt=PROMPT.negative,
        height=plan.render.height,
        width=plan.render.width,
        num_frames=plan.render.frames,
        num_inference_steps=plan.steps,
        guidance_scale=plan.guidance,
        latents=draw_noise(SEED, model.strides.latent(plan.render))[None],
        output_type="np",
    ).frames[0]
    assert ours.shape == theirs.shape and (plan.render.width, plan.render.height) == tuple(model.card.sizes[0])
    assert psnr(ours, (theirs * 255).round().astype(np.uint8)) > LEAST
