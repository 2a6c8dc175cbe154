"""Compiled blocks: refused where there is no compiler, else the same velocities (slow: 60 seconds of compiling)."""

import pytest
import torch

from hibari.errors import MissingDependency
from hibari.model.compiled import compile_blocks
from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack

CONFIG = DiTConfig(num_attention_heads=2, attention_head_dim=28, ffn_dim=80, num_layers=2)


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependency, match="needs a C\\+\\+ compiler") as raised:
        compile_blocks(WanDiT(CONFIG), torch.device("cpu"))
    assert raised.value.option == "compile"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch itself warns of its own older parts while it compiles
@torch.inference_mode()
def test_compiled_blocks_give_the_same() -> None:
    torch.manual_seed(3)
    model = WanDiT(CONFIG)
    for parameter in model.parameters():
        parameter.normal_(std=0.15).add_(0.02)
    keys = model.encode_text([torch.randn(4, 384)] * 2)
    patches_LP, layout = pack([torch.randn(48, 2, 3, 4)] * 2, (1, 1, 1))
    levels = torch.full((4,), 0.5)
    want = model(patches_LP, layout, levels, keys)
    compile_blocks(model, torch.device("cpu"))
    got = model(patches_LP, layout, levels, keys)
    assert (got - want).abs().max() < 1e-4 * want.abs().max()
