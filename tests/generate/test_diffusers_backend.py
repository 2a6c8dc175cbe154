"""What the diffusers backend makes is what the pipeline makes when it is called by hand. About 15 seconds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from hibari import catalog
from hibari.config import Settings
from hibari.errors import BadWeights, InvalidRequest
from hibari.generate.backend import Prompt, load_backend
from hibari.generate.diffusers_backend import DiffusersBackend
from hibari.generate.plan import make_plan
from hibari.request import GenerationRequest
from tiny_foreign import build_tiny_foreign

# Of Mochi, which asks for float32 and gets it anyway, and of Helios' scheduler.
pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast", "ignore:__array_wrap__ must accept")
CPU = torch.device("cpu")


def load(folder: Path, family: str, card: dict[str, Any] | None = None) -> DiffusersBackend:
    path = build_tiny_foreign(folder / family, family, card)
    backend = load_backend(catalog.find(str(path), Settings(home=folder)), CPU, torch.float32)
    assert isinstance(backend, DiffusersBackend)
    return backend


def frames(backend: DiffusersBackend, **fields: Any) -> np.ndarray:
    request = GenerationRequest(prompt="a hare runs", negative="a fox", **fields)
    plan = make_plan(request, backend.model, 7)
    return np.stack(list(backend.decode(backend.make_latent(plan, Prompt(request.prompt, request.negative)))))


@pytest.mark.parametrize("family", ["ltx", "cogvideox", "mochi", "wan-vace", "helios"])
def test_it_equals_the_pipeline(tmp_path: Path, family: str) -> None:
    backend = load(tmp_path, family)
    ours = frames(backend, seconds=1)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tmp_path / family)
    given = {"frame_rate": 8} if family == "ltx" else {}
    video = pipeline(
        prompt="a hare runs",
        negative_prompt="a fox",
        width=96,
        height=64,
        num_frames=len(ours),
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(7),
        output_type="np",
        **given,
    ).frames[0]
    assert (ours == (video[: len(ours)] * 255).round().astype(np.uint8)).all()
    assert ours.std() > 5, "a random model's frames are not flat"
    assert (ours == frames(backend, seconds=1)).all(), "a walk leaves nothing behind in the scheduler"


def test_frames_follow_each_familys_rule(tmp_path: Path) -> None:
    for family, count in (("ltx", 17), ("mochi", 19), ("wan-vace", 17), ("helios", 17)):
        model = catalog.find(str(build_tiny_foreign(tmp_path / family, family)), Settings(home=tmp_path))
        assert make_plan(GenerationRequest(prompt="a", seconds=2), model, 1).render.frames == count


def test_a_shift_takes_effect_and_goes_again(tmp_path: Path) -> None:
    backend = load(tmp_path, "ltx")
    plain = frames(backend)
    assert (frames(backend, flow_shift=3.0) == plain).all(), "which is the folder's own"
    assert (frames(backend, flow_shift=9.0) != plain).any()
    assert (frames(backend) == plain).all()


def test_large_frames_are_decoded_in_tiles(tmp_path: Path) -> None:
    backend = load(tmp_path, "ltx", {"sizes": ["1024x576", "96x64"], "seconds": 0.1})
    frames(backend, steps=1, guidance=2.0)
    assert backend.pipeline.vae.use_tiling
    frames(backend, size="96x64", steps=1, guidance=2.0)
    assert not backend.pipeline.vae.use_tiling


def test_what_a_pipeline_refuses_is_the_requests_fault(tmp_path: Path) -> None:
    backend = load(tmp_path, "ltx")
    plan = make_plan(GenerationRequest(prompt="a"), backend.model, 1)
    odd = replace(plan, render=plan.render._replace(width=100))
    with pytest.raises(InvalidRequest, match=r"LTXPipeline of diffusers refuses this: .* divisible by 32"):
        backend.make_latent(odd, Prompt("a"))


def test_what_is_no_such_video_is_refused(tmp_path: Path) -> None:
    backend = load(tmp_path, "ltx")
    plan = make_plan(GenerationRequest(prompt="a"), backend.model, 1)
    video = np.zeros((9, 64, 96, 3), np.float32)
    with pytest.raises(BadWeights, match="made 8 frames of 96x64, and was asked for 9"):
        backend._frames(video[:8], plan)
    video[3, 0, 0] = np.nan
    with pytest.raises(InvalidRequest, match="loses its numbers in float32") as caught:
        backend._frames(video, plan)
    assert caught.value.option == "dtype"
