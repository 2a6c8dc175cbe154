"""What shortcuts cost is measured against the exact path, and the table says it. About 5 seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hibari import catalog
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.evaluate.shortcuts import measure, shortcuts_table, ssim
from hibari.generate.generator import Generator
from hibari.generate.plan import make_plan
from hibari.request import GenerationRequest, Shortcuts


def test_structural_similarity_of_equal_and_of_other_frames() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    assert ssim(frames, frames) == pytest.approx(1)
    assert abs(ssim(frames, frames[:, ::-1].copy())) < 0.1


@pytest.mark.parametrize("given", [Shortcuts(cache=0.9), Shortcuts(guidance_low=0.5, guidance_high=0.9)])
def test_a_shortcut_has_a_measured_cost(home: Path, given: Shortcuts) -> None:
    model = catalog.find("tiny", Settings(home=home))
    generator = Generator.load(model, torch.device("cpu"), torch.float32)
    request = GenerationRequest(prompt="a ball", seconds=0.5, steps=6, guidance=4, shortcuts=given)
    result = measure(generator, request, [1])
    assert 15 < result["psnr_db"] < 100 and 0 < result["ssim"] < 1
    assert str(given) in shortcuts_table(result)


@pytest.mark.parametrize(
    "given", [{"cache": 1.0}, {"cache": -0.1}, {"guidance_low": 0.5, "guidance_high": 0.4}, {"speed": 1}, "fast", None]
)
def test_what_is_no_shortcut_is_refused(given: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        GenerationRequest(prompt="a ball", shortcuts=given)  # type: ignore[arg-type]
    assert raised.value.option == "shortcuts"


def test_no_guidance_has_no_interval(home: Path) -> None:
    model = catalog.find("tiny", Settings(home=home))
    request = GenerationRequest(prompt="a ball", guidance=1, shortcuts=Shortcuts(guidance_low=0.5))
    with pytest.raises(InvalidRequest, match="guidance is off"):
        make_plan(request, model, 1)
    two = replace(model, card=replace(model.card, guidance=1.0, guidance_2=3.0))
    assert make_plan(replace(request, guidance=None), two, 1).guidances == (1, 3)  # the second expert's has one
