"""Tiny random transformers for tests: diffusers' own, and ours, in every form that we claim to run."""

from typing import Any

import torch
from diffusers import SkyReelsV2Transformer3DModel, WanTransformer3DModel
from torch import Tensor

from hibari.model.dit import DiTConfig, WanDiT

SIZES: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 28,
    "freq_dim": 32,
    "ffn_dim": 80,
    "num_layers": 2,
}
WAN: dict[str, Any] = {**SIZES, "patch_size": (1, 2, 2), "in_channels": 16, "out_channels": 16, "text_dim": 40}
IMAGE: dict[str, Any] = {"in_channels": 36, "image_dim": 24, "added_kv_proj_dim": 56}
FORMS: dict[str, dict[str, Any]] = {
    "wan2.1": WAN,
    "image": WAN | IMAGE,
    "two images": WAN | IMAGE | {"pos_embed_seq_len": 14},
    "channels": WAN | {"in_channels": 36},
    "skyreels": WAN | {"inject_sample_info": False},
    "skyreels with rate": WAN | {"inject_sample_info": True},
    "mini": {**SIZES, "patch_size": (1, 1, 1), "in_channels": 48, "out_channels": 48, "text_dim": 384},
    "plain": {
        **SIZES,
        "patch_size": (1, 1, 2),
        "in_channels": 6,
        "out_channels": 4,
        "text_dim": 8,
        "cross_attn_norm": False,
    },
}


def class_of(form: str) -> type[WanTransformer3DModel] | type[SkyReelsV2Transformer3DModel]:
    """diffusers' class of a form."""
    return SkyReelsV2Transformer3DModel if "inject_sample_info" in FORMS[form] else WanTransformer3DModel


def published_dit(form: str) -> Any:
    """diffusers' transformer with random weights, larger than it would start with, so that every part counts."""
    torch.manual_seed(5)
    model = class_of(form)(**FORMS[form]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.15).add_(0.02)
    return model


def our_dit(form: str, *, dtype: torch.dtype = torch.float32) -> WanDiT:
    """Our transformer with random weights."""
    generator = torch.Generator().manual_seed(6)
    model = WanDiT(DiTConfig(**FORMS[form]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.15, generator=generator).add_(0.02)
    return model.cast(dtype)


def padded(texts: list[Tensor], text_len: int = 512) -> Tensor:
    """Texts (n_i, text_dim) as WanPipeline hands them over: zeros up to the text length."""
    return torch.stack([torch.cat([text, text.new_zeros(text_len - len(text), text.shape[1])]) for text in texts])


def distance(got: Tensor, want: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    return float((got - want).abs().max() / want.abs().max())


def psnr(got: Tensor, want: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, the peak being the largest value."""
    return float(20 * torch.log10(want.abs().max() / (got.double() - want.double()).square().mean().sqrt()))
