"""Folders with the configs of published models and hardly any weights, for tests of finding, checking and pulling."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

INDEX = {
    "_class_name": "WanPipeline",
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
}
SKYREELS = {
    "_class_name": "SkyReelsV2DiffusionForcingPipeline",
    "transformer": ["diffusers", "SkyReelsV2Transformer3DModel"],
}
SMALL = {"num_attention_heads": 12, "attention_head_dim": 128, "in_channels": 16, "out_channels": 16}
SHARDS = ("diffusion_pytorch_model-00001-of-00002.safetensors", "diffusion_pytorch_model-00002-of-00002.safetensors")


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_published(folder: Path, index: dict[str, Any] | None = None, *, rows: int = 64, **transformer: Any) -> Path:
    """A diffusers folder that is Wan 2.1 T2V 1.3B to its configs, its transformer in two shards; returns it."""
    write_json(folder / "model_index.json", INDEX | (index or {}))
    write_json(folder / "transformer/config.json", SMALL | {"patch_size": [1, 2, 2], "text_dim": 4096} | transformer)
    write_json(folder / "vae/config.json", {"z_dim": 16})
    write_json(folder / "text_encoder/config.json", {"model_type": "umt5"})
    write_json(folder / "tokenizer/tokenizer_config.json", {})
    write_json(folder / "scheduler/scheduler_config.json", {"flow_shift": 3.0})
    for number, shard in enumerate(SHARDS):
        save_file({f"x{number}": np.full((rows, 64), number, np.float32)}, folder / "transformer" / shard)
    weight_map = {f"x{number}": shard for number, shard in enumerate(SHARDS)}
    write_json(folder / "transformer/diffusion_pytorch_model.safetensors.index.json", {"weight_map": weight_map})
    for part in ("vae", "text_encoder"):
        save_file({"x": np.zeros((8, 8), np.float32)}, folder / part / "model.safetensors")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\nA model.\n")
    return folder
