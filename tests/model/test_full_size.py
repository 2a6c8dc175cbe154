"""Transformers of published size against diffusers' own: all keys and shapes, and forward passes of whole models.

About 10 seconds. The slow ones need 18 GB of memory, mapped files among them, and 12 GB of disk under the temporary
folder, and take about a minute for 1.3B (float32) and two for 5B (bfloat16); one model is in memory at a time.
"""

import gc
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import SkyReelsV2Transformer3DModel, WanTransformer3DModel
from torch import Tensor

from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack, unpack
from hibari.model.weights import load_dit
from hibari.model.weights.dit import _published_shapes
from tiny_dit import distance, padded, psnr

SMALL: dict[str, Any] = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
MIDDLE: dict[str, Any] = {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30}
LARGE: dict[str, Any] = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}
IMAGE: dict[str, Any] = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
WAN: dict[str, dict[str, Any]] = {
    "Wan2.1-T2V-1.3B": SMALL,
    "Wan2.2-TI2V-5B": MIDDLE | {"in_channels": 48, "out_channels": 48},
    "Wan2.1-T2V-14B, Wan2.2-T2V-A14B": LARGE,
    "Wan2.1-I2V-14B": LARGE | IMAGE,
    "Wan2.1-FLF2V-14B": LARGE | IMAGE | {"pos_embed_seq_len": 514},
    "Wan2.2-I2V-A14B": LARGE | {"in_channels": 36},
}
SKYREELS: dict[str, dict[str, Any]] = {
    "SkyReels-V2-DF-1.3B": SMALL | {"inject_sample_info": True},
    "SkyReels-V2-DF-14B": LARGE | {"inject_sample_info": True},
    "SkyReels-V2-T2V-14B": LARGE | {"inject_sample_info": False},
    "SkyReels-V2-I2V-1.3B": SMALL | IMAGE | {"added_kv_proj_dim": 1536, "inject_sample_info": False},
}
BASE: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
}
WHOLE = {"Wan2.1-T2V-1.3B": torch.float32, "Wan2.2-TI2V-5B": torch.bfloat16}
NEEDED_GB = 12


@pytest.mark.parametrize("name", WAN | SKYREELS)
def test_keys_and_shapes_are_those_of_diffusers(name: str) -> None:
    own = WanTransformer3DModel if name in WAN else SkyReelsV2Transformer3DModel
    config = BASE | (WAN | SKYREELS)[name]
    with torch.device("meta"):
        theirs, ours = own(**config), WanDiT(DiTConfig(**config))
    assert _published_shapes(ours) == {key: tuple(tensor.shape) for key, tensor in theirs.state_dict().items()}


def filled(config: dict[str, Any]) -> WanTransformer3DModel:
    """diffusers' transformer in bfloat16 with random numbers, which repeat after a million and some."""
    with init_empty_weights(include_buffers=False):
        model = WanTransformer3DModel(**config)
    noise = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0))
    for path, parameter in list(model.named_parameters()):
        middle = 1.0 if "norm" in path and path.endswith("weight") else 0.0
        scale = parameter[0].numel() ** -0.5 if parameter.ndim in (2, 5) else 0.05
        values = (noise * scale + middle).bfloat16()
        flat = values.repeat(parameter.numel() // len(values) + 1)[: parameter.numel()]
        module, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(module), leaf, torch.nn.Parameter(flat.view(parameter.shape), requires_grad=False))
    return model


def save_and_run(folder: Path, config: dict[str, Any], dtype: torch.dtype, latents: list[Tensor], text: Tensor) -> None:
    """Weights into folder/dit in shards, and what diffusers makes of the latents into folder/want.pt."""
    filled(config).save_pretrained(folder / "dit", max_shard_size="1GB")
    gc.collect()
    theirs = WanTransformer3DModel.from_pretrained(folder / "dit", torch_dtype=dtype).eval()
    with torch.no_grad():
        inputs = torch.stack(latents).to(dtype), torch.tensor([640.0] * len(latents)), text.to(dtype)
        torch.save(theirs(*inputs, return_dict=False)[0], folder / "want.pt")


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_model_of_diffusers_in_shards_gives_the_same(name: str, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / 1e9
    assert free > NEEDED_GB, f"{NEEDED_GB} GB of disk are needed under {tmp_path}, and {free:.0f} are free"
    config, dtype = BASE | WAN[name], WHOLE[name]
    generator = torch.Generator().manual_seed(1)
    latents = [torch.randn(config["in_channels"], 2, 8, 12, generator=generator) for _ in range(2)]
    texts = [torch.randn(n, 4096, generator=generator) * 0.2 for n in (7, 20)]
    try:
        save_and_run(tmp_path, config, dtype, latents, padded(texts))
        gc.collect()
        assert len(list((tmp_path / "dit").glob("*.safetensors"))) > 2
        model = load_dit(tmp_path / "dit", dtype=dtype)
        with torch.no_grad():
            patches_LP, layout = pack(latents, (1, 2, 2))
            out_LP = model(patches_LP, layout, torch.full((4,), 0.64), model.encode_text(texts))
        got = torch.stack(unpack(out_LP, layout, config["out_channels"], (1, 2, 2)))
        want = torch.load(tmp_path / "want.pt", weights_only=True)
        assert float(want.float().std()) > 0.01
        if dtype == torch.float32:
            assert distance(got, want) < 1e-4
        else:
            assert psnr(got, want) > 35
    finally:
        shutil.rmtree(tmp_path / "dit", ignore_errors=True)
