"""How an original checkpoint of Wan or SkyReels-V2 lies on disk, and what it is in diffusers' words. No torch here.

An original folder holds the transformer's config.json and safetensors (two folders of them where there are two
experts) and everything else as `.pth` files of fixed names. What is missing in it stands below: the VAEs have no
config, and which pipeline it is follows from the transformer. Sources: Wan-Video/Wan2.1 and Wan2.2, wan/configs and
wan/modules; SkyworkAI/SkyReels-V2, skyreels_v2_infer/modules; diffusers, scripts/convert_wan_to_diffusers.py.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hibari.errors import BadWeights

CONFIG = "config.json"
CLASS = "WanModel"
EXPERTS = ("high_noise_model", "low_noise_model")
TEXT_ENCODER = "models_t5_umt5-xxl-enc-bf16.pth"
TOKENIZER = "google/umt5-xxl"
IMAGE_ENCODER = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"

_MEAN_21 = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
_STD_21 = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
_MEAN_22 = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
_STD_22 = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
_VAE: Mapping[str, Any] = MappingProxyType(
    {
        "_class_name": "AutoencoderKLWan",
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
        "dropout": 0.0,
        "scale_factor_temporal": 4,
    }
)
VAES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Wan2.1_VAE.pth": {
            **_VAE,
            "base_dim": 96,
            "z_dim": 16,
            "latents_mean": list(_MEAN_21),
            "latents_std": list(_STD_21),
            "scale_factor_spatial": 8,
        },
        "Wan2.2_VAE.pth": {
            **_VAE,
            "base_dim": 160,
            "decoder_base_dim": 256,
            "z_dim": 48,
            "latents_mean": list(_MEAN_22),
            "latents_std": list(_STD_22),
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
        },
    }
)
"""The published config of each VAE, by the name of its file."""

# What an original config.json holds, and what diffusers calls it.
_SAME = ("eps", "ffn_dim", "freq_dim", "num_layers")
_RENAMED = {"num_heads": "num_attention_heads", "in_dim": "in_channels", "out_dim": "out_channels"}
_OTHER = frozenset({"dim", "model_type", "text_len", "inject_sample_info"})
# Fixed in the code of every release, and left out of its configs.
FIXED: Mapping[str, Any] = MappingProxyType(
    {
        "text_dim": 4096,
        "patch_size": [1, 2, 2],
        "qk_norm": "rms_norm_across_heads",
        "cross_attn_norm": True,
        "rope_max_seq_len": 1024,
    }
)
_IMAGE_DIM = 1280
_TWO_PICTURES = 2 * 257
FLOW_SHIFT = 5.0  # what generate.py takes where a task asks for no other
BOUNDARY = {16: 0.875, 36: 0.9}  # of Wan 2.2, by the channels that its transformers take


def is_original(folder: Path) -> bool:
    """Whether a folder is an original checkpoint; what is damaged in it is for its readers to say."""
    if (folder / "model_index.json").exists():
        return False
    if any((folder / expert).is_dir() for expert in EXPERTS):
        return True
    return (folder / CONFIG).is_file() and any((folder / name).exists() for name in (*VAES, TEXT_ENCODER))


def places(folder: Path) -> dict[str, Path]:
    """Where each part lies, by its name in diffusers: a folder, or a `.pth` file. Raises BadWeights."""
    experts = any((folder / expert).is_dir() for expert in EXPERTS)
    found = dict(zip(("transformer", "transformer_2"), (folder / name for name in EXPERTS), strict=True))
    found = found if experts else {"transformer": folder}
    vaes = [folder / name for name in VAES if (folder / name).is_file()]
    if len(vaes) != 1:
        raise BadWeights(f"{folder}: {len(vaes)} VAEs of {', '.join(VAES)}, and it needs one.", option="model")
    found |= {"vae": vaes[0], "text_encoder": folder / TEXT_ENCODER, "tokenizer": folder / TOKENIZER}
    if dit_values(found["transformer"])["image_dim"] is not None:
        found["image_encoder"] = folder / IMAGE_ENCODER
    for part, place in found.items():
        if not place.exists():
            raise BadWeights(f"{place}: the {part.replace('_', ' ')} is not there.", option="model")
    return found


def dit_values(folder: Path) -> dict[str, Any]:
    """The config.json of an original transformer's folder, as the values of a published one. Raises BadWeights."""
    path = folder / CONFIG
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values = {key: value for key, value in raw.items() if not key.startswith("_")}
        if raw["_class_name"] != CLASS:
            raise ValueError(f"it holds a {raw['_class_name']}, not a {CLASS}")
        if unknown := values.keys() - {*_SAME, *_RENAMED, *_OTHER}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        kind, width = values["model_type"], values["dim"]
        if kind not in ("t2v", "i2v", "flf2v", "ti2v"):
            raise ValueError(f"model_type is {kind!r}")
        # Wan 2.2's experts take a start image as channels alone.
        sees = kind in ("i2v", "flf2v") and folder.name not in EXPERTS
        published = {key: values[key] for key in _SAME} | {new: values[key] for key, new in _RENAMED.items()}
        published |= {
            **FIXED,
            "_class_name": "WanTransformer3DModel",
            "attention_head_dim": width // values["num_heads"],
            "image_dim": _IMAGE_DIM if sees else None,
            "added_kv_proj_dim": width if sees else None,
            "pos_embed_seq_len": _TWO_PICTURES if kind == "flf2v" else None,
        }
        if "inject_sample_info" in values:
            published |= {
                "_class_name": "SkyReelsV2Transformer3DModel",
                "inject_sample_info": values["inject_sample_info"],
            }
    except OSError as error:
        raise BadWeights(f"{path}: cannot be read ({error.strerror}).", option="model") from error
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise BadWeights(
            f"{path}: not an original Wan config ({type(error).__name__}: {error}).", option="model"
        ) from error
    return published


def configs(found: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """The published config of each part that has one, by `places`; raises BadWeights."""
    transformers = {part: dit_values(place) for part, place in found.items() if part.startswith("transformer")}
    return transformers | {"vae": dict(VAES[found["vae"].name]), "scheduler": {"flow_shift": FLOW_SHIFT}}


def index(folder: Path, name: str) -> dict[str, Any]:
    """The model_index.json that diffusers would give this checkpoint, whose published `name` tells families apart.

    SkyReels-V2's diffusion-forcing and text-to-video models have the same config, and are told by name alone.
    """
    found = places(folder)
    values = dit_values(found["transformer"])
    skyreels = values["_class_name"].startswith("SkyReels") or "skyreels" in name.lower()
    starts_from_picture = values["in_channels"] != values["out_channels"]
    if skyreels and not starts_from_picture:
        pipeline = "SkyReelsV2Pipeline" if "t2v" in name.lower() else "SkyReelsV2DiffusionForcingPipeline"
    else:
        pipeline = ("SkyReelsV2" if skyreels else "Wan") + (
            "ImageToVideoPipeline" if starts_from_picture else "Pipeline"
        )
    dit = ["diffusers", "SkyReelsV2Transformer3DModel" if skyreels else "WanTransformer3DModel"]
    parts = {
        "transformer": dit,
        "transformer_2": dit,
        "vae": ["diffusers", "AutoencoderKLWan"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "image_encoder": ["transformers", "CLIPVisionModel"],
    }
    known: dict[str, Any] = {part: parts[part] for part in found}
    if "transformer_2" in found:
        if values["in_channels"] not in BOUNDARY:
            raise BadWeights(
                f"{folder}: two experts of {values['in_channels']} channels are no known form.", option="model"
            )
        known["boundary_ratio"] = BOUNDARY[values["in_channels"]]
    known["expand_timesteps"] = VAES[found["vae"].name]["z_dim"] == 48
    return {"_class_name": pipeline, **known}
