"""Weights that are stored: what they cost in accuracy, and that streaming them costs none. About 6 s."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hibari.model.quantised import Kind, pack
from hibari.model.stored import Storage, StoredLinear, store
from hibari.model.weights import load_dit, save_dit
from hibari.shapes import Grid, PackLayout
from tiny_dit import our_dit, psnr

CPU = torch.device("cpu")


def velocity(model: nn.Module) -> Tensor:
    """What a transformer of the mini form says of a fixed clip."""
    generator = torch.Generator().manual_seed(1)
    grid = Grid(3, 4, 4)
    keys = model.encode_text([torch.randn(7, 384, generator=generator)])
    patches = torch.randn(grid.tokens, 48, generator=generator)
    return model(patches, PackLayout((grid,)), torch.full((3,), 0.6), keys).float()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights")
    model = our_dit("mini")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(0.5)
    save_dit(model, made)
    return made


@pytest.mark.parametrize(("kind", "least_db"), [("int8", 38.0), ("fp8", 28.0)])
def test_a_byte_for_each_weight_says_nearly_the_same(folder: Path, kind: Kind, least_db: float) -> None:
    with torch.inference_mode():
        exact = velocity(load_dit(folder))
        got = velocity(load_dit(folder, storage=Storage(kind=kind)))
    assert not torch.equal(got, exact)
    assert psnr(got, exact) > least_db


@pytest.mark.parametrize("place", ["cpu", "disk"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_streamed_weights_give_the_same_bits(folder: Path, place: str, dtype: torch.dtype) -> None:
    with torch.inference_mode():
        exact = load_dit(folder, dtype=dtype)
        streamed = load_dit(folder, dtype=dtype, storage=Storage(place=place))
        for _ in range(2):  # the order of use is learned in the first pass
            assert torch.equal(velocity(streamed), velocity(exact))


def test_streamed_layers_hold_nothing_of_their_own(folder: Path) -> None:
    model = load_dit(folder, dtype=torch.bfloat16, storage=Storage(place="disk"))
    stored = [module for module in model.modules() if isinstance(module, StoredLinear)]
    assert len(stored) == 2 * 10
    assert {module.weight.dtype for module in stored} == {torch.float32}, "as the file has them"
    assert all(mapped_file(module.weight).endswith(".safetensors") for module in stored)


def mapped_file(tensor: Tensor) -> str:
    """The file that a tensor's memory is mapped from; empty for memory of the process's own."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, *_, name = (*line.split(maxsplit=5), "")[:6]
        low, high = (int(end, 16) for end in span.split("-"))
        if low <= tensor.data_ptr() < high:
            return name
    return ""


def test_int8_holds_a_quarter_of_float32(folder: Path) -> None:
    def held(model: nn.Module) -> int:
        return sum(parameter.nbytes for name, parameter in model.named_parameters() if name.endswith("to_q.weight"))

    assert 4 * held(load_dit(folder, storage=Storage(kind="int8"))) == held(load_dit(folder))


@pytest.mark.parametrize("kind", ["int8", "fp8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_is_off_by_half_a_step_at_most(kind: Kind, dtype: torch.dtype) -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(2)) * torch.logspace(-6, 2, 16)[:, None]
    weight[3] = 0
    widened = pack(weight, kind, dtype).widened(dtype).float()
    assert bool(widened.isfinite().all())
    peak = weight.abs().amax(1, keepdim=True)
    step = peak / 254 if kind == "int8" else peak / 16  # e4m3 has 3 bits behind the first
    assert bool(((widened - weight).abs() <= step * 1.02 + peak * 2**-7).all())


def test_layers_of_any_module_are_stored() -> None:
    layers = nn.ModuleList([nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))])
    x = torch.randn(3, 8)
    exact = layers[0](x).detach()
    store(layers, Storage(kind="int8"), CPU, torch.float32, dict(layers.state_dict()).__getitem__)
    assert isinstance(layers[0][0], StoredLinear)
    assert psnr(layers[0](x), exact) > 30
