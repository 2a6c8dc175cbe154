"""Pairs beside the layers of a frozen model: nothing at first, then what their file makes of the model. 2 seconds."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack
from hibari.model.weights.lora import save_lora
from hibari.train.low_rank import LowRank
from tiny_dit import FORMS


def test_they_start_as_nothing_and_alone_are_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = WanDiT(DiTConfig(**FORMS["mini"]))
    for parameter in model.parameters():  # larger than they would start, so that every layer counts
        torch.nn.init.normal_(parameter, std=0.1)
    patches_LP, layout = pack([torch.randn(model.config.in_channels, 2, 4, 4)], model.config.patch_size)
    states = torch.randn(3, model.config.text_dim)
    bare = model(patches_LP, layout, torch.ones(2), model.encode_text([states])).detach()
    pairs = LowRank(model, 2, ("patch_embedding",))
    made = model(patches_LP, layout, torch.ones(2), model.encode_text([states]))
    torch.testing.assert_close(made.detach(), bare, rtol=0, atol=0)
    made.square().mean().backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    grads = {name: parameter.grad for name, parameter in pairs.named_parameters()}
    assert all(grad is not None and bool(grad.any()) for name, grad in grads.items() if name.endswith("up"))
    with torch.no_grad():
        for name, parameter in pairs.named_parameters():
            if name.endswith("up"):
                parameter.normal_(std=0.5)
    moved = model(patches_LP, layout, torch.ones(2), model.encode_text([states])).detach()
    assert float((moved - bare).abs().max()) > 0.01
    layers = pairs.by_layer(dict(pairs.named_parameters()))
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert layers.keys() == linear - {"patch_embedding"}
    save_lora(
        {name: (a.detach(), b.detach()) for name, (a, b) in layers.items()}, tmp_path / "a.safetensors", torch.float32
    )
    keys = set(load_file(tmp_path / "a.safetensors"))
    assert {"transformer.blocks.0.ffn.net.0.proj.lora_A.weight", "transformer.proj_out.lora_B.weight"} <= keys
