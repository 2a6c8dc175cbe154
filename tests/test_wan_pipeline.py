"""diffusers' WanPipeline on a folder of hibari-mini's form: it opens, and our pieces make the same latents.

About 10 seconds, half of them the import of the pipeline.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from torch import Tensor

from hibari.flow.guidance import guide
from hibari.flow.solver import unipc
from hibari.flow.times import schedule, timestep_of
from hibari.model.text import MiniLMTextEncoder
from tiny_pipeline import build_tiny_pipeline

PROMPT, NEGATIVE = "a red ball rolls to the left over a meadow", "blurred"
STEPS, SCALE = 6, 4.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    opened = WanPipeline.from_pretrained(folder)
    opened.set_progress_bar_config(disable=True)
    return opened


def noise_for(frames: int, height: int, width: int) -> Tensor:
    return torch.randn(1, 48, frames, height, width, generator=torch.Generator().manual_seed(11))


def test_the_pipeline_opens_the_folder_and_makes_frames(pipeline: Any) -> None:
    assert pipeline.text_encoder.dtype == pipeline.transformer.dtype == pipeline.vae.dtype == torch.float32
    frames = pipeline(
        PROMPT, height=64, width=64, num_frames=5, num_inference_steps=2, latents=noise_for(2, 4, 4), output_type="pt"
    ).frames
    assert frames.shape == (1, 5, 3, 64, 64) and bool(frames.isfinite().all()) and frames.std() > 0.01


def test_text_levels_timesteps_guidance_and_solver_make_the_same_latents(pipeline: Any, folder: Path) -> None:
    """The transformer is theirs on both sides; everything around it is ours on one."""
    noise = noise_for(2, 4, 6)
    theirs = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        height=64,
        width=96,
        num_frames=5,
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        latents=noise,
        output_type="latent",
    ).frames
    states = MiniLMTextEncoder.load(folder).encode([PROMPT, NEGATIVE])
    text = torch.stack([torch.nn.functional.pad(state, (0, 0, 0, 512 - len(state))) for state in states])

    @torch.no_grad()
    def velocity(x: Tensor, sigma: float) -> Tensor:
        timesteps = torch.full((2,), timestep_of(sigma))
        cond, uncond = pipeline.transformer(x.expand(2, -1, -1, -1, -1), timesteps, text, return_dict=False)[0]
        return guide(cond, uncond, SCALE)[None]

    ours = unipc(velocity, noise, schedule(STEPS, pipeline.scheduler.config.flow_shift))
    torch.testing.assert_close(ours, theirs, atol=1e-4 * theirs.abs().max().item(), rtol=0)
