"""Tiny random models in every published form of Wan, as diffusers folders, for tests. Built by diffusers' own classes.

Each has a UMT5 with a tokenizer of a few words, a scheduler, and weights that are larger than they would start with, so
that every part counts.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from torch import nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from hibari import catalog

TEXT_DIM, IMAGE_DIM, STATES = 40, 24, 5  # a picture of 16 pixels in patches of 8, and the class token
WIDTH, HEIGHT, FRAMES = 96, 64, 9
WORDS = ["a", "red", "ball", "rolls", "to", "the", "left", "over", "meadow", "blurred", "octopus", "drifts", "up"]
IMAGE = {"in_channels": 36, "image_dim": IMAGE_DIM, "added_kv_proj_dim": 56}
FORMS: dict[str, dict[str, Any]] = {
    "wan2.1 t2v": {},
    "wan2.1 i2v": {"dit": IMAGE},
    "wan2.1 flf2v": {"dit": IMAGE | {"pos_embed_seq_len": 2 * STATES}},
    "wan2.2 t2v": {"boundary": 0.875},
    "wan2.2 i2v": {"dit": {"in_channels": 36}, "boundary": 0.9},
    "wan2.2 ti2v": {"dit": {"in_channels": 48, "out_channels": 48}, "expand": True},
    "skyreels df": {"dit": {"inject_sample_info": True}, "pipeline": "SkyReelsV2DiffusionForcingPipeline"},
    "skyreels t2v": {"dit": {"inject_sample_info": False}, "pipeline": "SkyReelsV2Pipeline"},
    "skyreels i2v": {"dit": IMAGE | {"inject_sample_info": False}, "pipeline": "SkyReelsV2ImageToVideoPipeline"},
}
CARD: dict[str, Any] = {
    "revision": "1",
    "licence": "Apache-2.0",
    "sizes": [f"{WIDTH}x{HEIGHT}"],
    "fps": 8,
    "seconds": 1.0,
    "max_seconds": 4.0,
    "steps": 5,
    "guidance": 4.0,
    "shift_grows": False,
}


def build_tiny_wan(folder: Path, form: str, *, seed: int = 0, **card: Any) -> Path:
    """Write a model of a form into `folder`, which is made, and return it; equal seeds give equal weights.

    Where `card` is empty it has none, as a published folder; else a small one, changed as `card` says.
    """
    parts = FORMS[form]
    sizes, is_skyreels = parts.get("dit", {}), "pipeline" in parts
    index: dict[str, Any] = {"_class_name": parts.get("pipeline", _pipeline(sizes)), "_diffusers_version": "0.42.1"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in ("transformer", "transformer_2") if "boundary" in parts else ("transformer",):
            tiny_dit(sizes).save_pretrained(folder / name)
        tiny_vae(residual=parts.get("expand", False)).save_pretrained(folder / "vae")
        _save_text_encoder(folder)
        if "image_dim" in sizes:
            encoder = CLIPVisionModelWithProjection if is_skyreels else CLIPVisionModel
            _save_image_encoder(folder, encoder)
            index |= {
                "image_encoder": ["transformers", encoder.__name__],
                "image_processor": ["transformers", "CLIPImageProcessor"],
            }
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0).save_pretrained(
        folder / "scheduler"
    )
    dit = ["diffusers", "SkyReelsV2Transformer3DModel" if is_skyreels else "WanTransformer3DModel"]
    index |= {
        "transformer": dit,
        "vae": ["diffusers", "AutoencoderKLWan"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    }
    if not is_skyreels:
        index |= {"transformer_2": dit if "boundary" in parts else [None, None]}
        index |= {"boundary_ratio": parts.get("boundary"), "expand_timesteps": parts.get("expand", False)}
    (folder / "model_index.json").write_text(json.dumps(index))
    if card:
        own = {"name": folder.name, "verbs": catalog.open_folder(folder).card.verbs}
        (folder / "hibari.json").write_text(json.dumps(CARD | own | card))
    return folder


def tiny_dit(sizes: dict[str, Any]) -> WanTransformer3DModel | SkyReelsV2Transformer3DModel:
    """A transformer of two blocks with 2 heads of 28, in patches of 1x2x2."""
    own = SkyReelsV2Transformer3DModel if "inject_sample_info" in sizes else WanTransformer3DModel
    values = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 28,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": TEXT_DIM,
        "freq_dim": 32,
        "ffn_dim": 80,
        "num_layers": 2,
    }
    return stirred(own(**values | sizes))


def tiny_vae(*, residual: bool) -> AutoencoderKLWan:
    """A VAE of the Wan 2.1 form, 4x8x8 to 16 channels, or of the 2.2 form, 4x16x16 to 48."""
    channels = 48 if residual else 16
    values: dict[str, Any] = {
        "base_dim": 8,
        "z_dim": channels,
        "dim_mult": [1, 2, 2, 2],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
        "latents_mean": (torch.randn(channels) * 0.2).tolist(),
        "latents_std": (torch.rand(channels) + 0.5).tolist(),
    }
    if residual:
        values |= {"is_residual": True, "decoder_base_dim": 8, "in_channels": 12, "out_channels": 12, "patch_size": 2}
        values |= {"scale_factor_spatial": 16}
    return AutoencoderKLWan(**values)


def stirred(module: Any) -> Any:
    """A module with larger weights than it would start with."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.1).add_(0.02)
    return module.eval()


def _pipeline(sizes: dict[str, Any]) -> str:
    return "WanImageToVideoPipeline" if sizes.get("in_channels") == 36 else "WanPipeline"


def _save_text_encoder(folder: Path) -> None:
    letters = [(letter, -6.0) for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.&;'"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("▁", -2.0)]
    vocabulary += [(f"▁{word}", -3.0) for word in WORDS] + letters
    T5Tokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder / "tokenizer")
    config = UMT5Config(
        vocab_size=len(vocabulary) + 3,
        d_model=TEXT_DIM,
        d_kv=10,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    _save_quietly(UMT5EncoderModel(config).eval(), folder / "text_encoder")


def _save_image_encoder(folder: Path, encoder: Any) -> None:
    config = CLIPVisionConfig(
        hidden_size=IMAGE_DIM,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        hidden_act="gelu",
    )
    _save_quietly(encoder(config).eval(), folder / "image_encoder")
    processor = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor.save_pretrained(folder / "image_processor")


def _save_quietly(module: nn.Module, folder: Path) -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    module.save_pretrained(folder)  # type: ignore[operator]  # of transformers' own base class
