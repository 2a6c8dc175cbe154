"""Every way to hold a model makes the same video, and holds no more than it says. About 15 s."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hibari.catalog import Model, open_folder
from hibari.generate.backend import Prompt, load_backend
from hibari.generate.fit import Fit
from hibari.generate.fitting import Fitting, Room, Wanted
from hibari.generate.forecast import Where
from hibari.generate.generator import Generator
from hibari.generate.plan import Plan, make_plan
from hibari.model.stored import StoredLinear
from hibari.request import GenerationRequest
from tiny_dit import psnr
from tiny_wan import build_tiny_wan

CPU = torch.device("cpu")
RED = Prompt("a red ball rolls to the left", "blurred")


@pytest.fixture(scope="module", params=["wan2.1 t2v", "wan2.2 t2v"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = build_tiny_wan(tmp_path_factory.mktemp("models") / "tiny", request.param, steps=4)
    return open_folder(folder)


@pytest.fixture(scope="module")
def plan(model: Model) -> Plan:
    return make_plan(GenerationRequest(prompt=RED.text, seconds=1), model, 3)


def made(model: Model, plan: Plan, fit: Fit) -> tuple[Generator, Tensor, np.ndarray]:
    generator = load_backend(model, CPU, torch.float32, fit)
    assert isinstance(generator, Generator)
    latent = generator.make_latent(plan, RED)
    return generator, latent, np.stack(list(generator.decode(latent)))


@pytest.fixture(scope="module")
def plain(model: Model, plan: Plan) -> tuple[Tensor, np.ndarray]:
    return made(model, plan, Fit())[1:]


@pytest.mark.parametrize("offload", ["parts", "cpu", "disk"])
def test_offload_changes_no_bit_and_lets_go(
    model: Model, plan: Plan, plain: tuple[Tensor, np.ndarray], offload: str
) -> None:
    generator, latent, frames = made(model, plan, Fit(offload=offload))  # type: ignore[arg-type]
    assert torch.equal(latent, plain[0])
    assert np.array_equal(frames, plain[1])
    assert not generator.parts.text.is_held and not generator.parts.vae.is_held
    assert not any(expert.is_held for expert in generator.parts.experts)
    assert torch.equal(generator.make_latent(plan, RED), latent), "what was let go comes again"
    next(generator.decode(latent))
    assert not generator.parts.vae.is_held, "after a preview"


@pytest.mark.parametrize("by_tile", [False, True])
def test_tiles_and_single_frames_change_at_most_a_rounding(
    model: Model, plan: Plan, plain: tuple[Tensor, np.ndarray], by_tile: bool
) -> None:
    generator, latent, _ = made(model, plan, Fit(tile=32, frames=1, by_tile=by_tile))
    assert torch.equal(latent, plain[0])
    frames = np.stack(list(generator.decode(latent)))
    assert int(np.abs(frames.astype(int) - plain[1].astype(int)).max()) <= 1


@pytest.mark.parametrize("storage", ["int8", "fp8"])
def test_bytes_for_weights_of_transformer_and_text_encoder(
    model: Model, plan: Plan, plain: tuple[Tensor, np.ndarray], storage: str
) -> None:
    generator, latent, _ = made(model, plan, Fit(storage=storage))  # type: ignore[arg-type]
    layers = [*generator.parts.experts[0].__call__().modules(), *generator.parts.text().encoder.modules()]  # type: ignore[attr-defined]
    stored = [layer for layer in layers if isinstance(layer, StoredLinear)]
    assert stored and {layer.weight.dtype for layer in stored} == {torch.int8}
    assert not torch.equal(latent, plain[0])
    assert psnr(latent, plain[0]) > 15, "a random model amplifies what a trained one forgives"


def test_a_published_form_is_fitted_without_its_weights(model: Model, plan: Plan) -> None:
    where = Where(device="cpu", dtype="float32")
    fitted = Fitting(model=model, wanted=Wanted(), where=where, room=Room(main=4e9)).fit(plan)
    assert fitted.fit == Fit()
    assert fitted.forecast.main["denoise"] > 3e8, "Python, torch and transformers"
