"""Parts of original checkpoints, with their tensors under the keys that the published folders have.

The transformer lies in safetensors; VAE, text encoder and image encoder in `.pth` files, which are pickles: they are
read as tensors alone (`weights_only`), and one that holds anything else is refused before it runs. Nothing is converted
on disk. Sources of the names: wan/modules of Wan-Video/Wan2.1 and Wan2.2; diffusers, loaders/single_file_utils.py and
scripts/convert_wan_to_diffusers.py, which the tests hold these tables to.
"""

import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from hibari.errors import BadWeights
from hibari.wan_keys import PUBLISHED_NAMES
from hibari.wan_layout import VAES

Rename = Callable[[str], str | None]
"""Original key to published key; None for one that is left out on purpose, KeyError for one that nobody knows."""

_INSIDE = MappingProxyType(
    {
        "residual.0": "norm1",
        "residual.2": "conv1",
        "residual.3": "norm2",
        "residual.6": "conv2",
        "shortcut": "conv_shortcut",
        **{name: name for name in ("norm", "to_qkv", "proj", "resample.1", "time_conv")},
    }
)
_VAE_STEM = MappingProxyType(
    {
        "conv1": "quant_conv",
        "conv2": "post_quant_conv",
        **{f"{side}.conv1": f"{side}.conv_in" for side in ("encoder", "decoder")},
        **{f"{side}.head.0": f"{side}.norm_out" for side in ("encoder", "decoder")},
        **{f"{side}.head.2": f"{side}.conv_out" for side in ("encoder", "decoder")},
    }
)
_TEXT = MappingProxyType(
    {
        "token_embedding": "shared",
        "norm": "encoder.final_layer_norm",
        "blocks.*.norm1": "encoder.block.*.layer.0.layer_norm",
        **{f"blocks.*.attn.{x}": f"encoder.block.*.layer.0.SelfAttention.{x}" for x in "qkvo"},
        "blocks.*.pos_embedding.embedding": "encoder.block.*.layer.0.SelfAttention.relative_attention_bias",
        "blocks.*.norm2": "encoder.block.*.layer.1.layer_norm",
        "blocks.*.ffn.gate.0": "encoder.block.*.layer.1.DenseReluDense.wi_0",
        "blocks.*.ffn.fc1": "encoder.block.*.layer.1.DenseReluDense.wi_1",
        "blocks.*.ffn.fc2": "encoder.block.*.layer.1.DenseReluDense.wo",
    }
)
_IMAGE = MappingProxyType(
    {
        "visual.cls_embedding": "embeddings.class_embedding",
        "visual.pos_embedding": "embeddings.position_embedding.weight",
        "visual.patch_embedding": "embeddings.patch_embedding",
        "visual.pre_norm": "pre_layrnorm",
        "visual.transformer.*.norm1": "encoder.layers.*.layer_norm1",
        "visual.transformer.*.attn.to_qkv": "encoder.layers.*.self_attn.qkv",
        "visual.transformer.*.attn.proj": "encoder.layers.*.self_attn.out_proj",
        "visual.transformer.*.norm2": "encoder.layers.*.layer_norm2",
        "visual.transformer.*.mlp.0": "encoder.layers.*.mlp.fc1",
        "visual.transformer.*.mlp.2": "encoder.layers.*.mlp.fc2",
        "visual.post_norm": "post_layernorm",
    }
)


def dit_key(key: str) -> str:
    """The published key of an original transformer's."""
    return _starred(key, PUBLISHED_NAMES)


def vae_key(key: str) -> str:
    """The published key of an original VAE's; the nesting of its blocks says which of the two forms it is."""
    side, _, rest = key.partition(".")
    if match := re.fullmatch(r"middle\.([012])\.(.+)", rest):
        number, inside = match.groups()
        place = "attentions.0" if number == "1" else f"resnets.{int(number) // 2}"
        return f"{side}.mid_block.{place}.{_inside(inside)}"
    if match := re.fullmatch(r"(?:down|up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.+)", rest):  # Wan 2.2
        block, number, inside = match.groups()
        down = side == "encoder"
        resample = "downsampler" if down else "upsampler"
        place = f"resnets.{number}" if _is_residual(inside) else resample
        return f"{side}.{'down' if down else 'up'}_blocks.{block}.{place}.{_inside(inside)}"
    if match := re.fullmatch(r"downsamples\.(\d+)\.(.+)", rest):
        return f"{side}.down_blocks.{match[1]}.{_inside(match[2])}"
    if match := re.fullmatch(
        r"upsamples\.(\d+)\.(.+)", rest
    ):  # Wan 2.1 lays 3 residual blocks and a resampling in a row
        block, number = divmod(int(match[1]), 4)
        place = f"resnets.{number}" if _is_residual(match[2]) else "upsamplers.0"
        return f"{side}.up_blocks.{block}.{place}.{_inside(match[2])}"
    return _starred(key, _VAE_STEM)


def text_key(key: str) -> str:
    """The key in transformers' UMT5EncoderModel of an original text encoder's."""
    return _starred(key, _TEXT)


def image_key(key: str) -> str | None:
    """The key in transformers' CLIPVisionModel; None for the text side and the projection, which Wan does not use.

    Queries, keys and values lie in one tensor, under `self_attn.qkv`: `split_image` parts them.
    """
    if key.startswith("textual.") or key in ("log_scale", "visual.head"):
        return None
    return _starred(key, _IMAGE)


def split_image(key: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a CLIPVisionModel that one original tensor of the image encoder holds."""
    if ".qkv." in key:
        yield from ((key.replace("qkv", f"{x}_proj"), part) for x, part in zip("qkv", tensor.chunk(3), strict=True))
    elif key.startswith("embeddings.class_embedding"):
        yield key, tensor.flatten()
    elif key.startswith("embeddings.position_embedding"):
        yield key, tensor[0]
    else:
        yield key, tensor


def vae_values(path: Path) -> dict[str, Any]:
    """The published config of an original VAE: its form by the name, its width by its tensors. Raises BadWeights."""
    if path.name not in VAES:
        raise BadWeights(f"{path}: not one of {', '.join(VAES)}.", option="model")
    values, tensors = dict(VAES[path.name]), read_pickle(path, vae_key)
    try:
        values["base_dim"] = tensors["encoder.conv_in.weight"].shape[0]
        if "decoder_base_dim" in values:
            values["decoder_base_dim"] = tensors["decoder.conv_out.weight"].shape[1]
    except (KeyError, IndexError) as error:
        raise BadWeights(f"{path}: not a whole VAE ({error}).", **_AGAIN) from error
    return values


def read_pickle(path: Path, rename: Rename) -> dict[str, Tensor]:
    """The tensors of a `.pth` file under their published keys; they still lie in the mapped file. Raises BadWeights."""
    found: dict[str, Tensor] = {}
    for key, tensor in _open_pickle(path).items():
        try:
            published = rename(key)
        except KeyError as error:
            raise BadWeights(f"{path}: unexpected tensor {key}.", option="model") from error
        if published is not None:
            found[published] = tensor
    return found


def _open_pickle(path: Path) -> Mapping[str, Tensor]:
    try:
        if not zipfile.is_zipfile(path):  # torch's old form is a bare pickle, which cannot be mapped
            raise BadWeights(f"{path}: cut short, or not a file of tensors.", **_AGAIN)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise BadWeights(
            f"{path}: holds more than tensors, which could run code; it was not opened.", **_AGAIN
        ) from error
    except _DAMAGED as error:
        raise BadWeights(f"{path}: damaged ({type(error).__name__}).", **_AGAIN) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise BadWeights(f"{path}: not a table of tensors.", **_AGAIN)
    return loaded


# What torch's reader of tensors, and the archive's, stumble over in a file with wrong bytes.
_DAMAGED = (
    *(OSError, RuntimeError, ValueError, TypeError, EOFError, LookupError, AttributeError, AssertionError),
    *(struct.error, zipfile.BadZipFile),
)
_AGAIN = {"option": "model", "hint": "Take the file again from where it was published."}


def _starred(key: str, table: Mapping[str, str]) -> str:
    """The table's name of a key; "*" in the table stands for its first number. Raises KeyError."""
    number = re.search(r"\.(\d+)\.", key)
    for starred in (key.replace(number.group(), ".*.", 1) if number else key, key):
        for name, leaf in ((starred, ""), starred.rsplit(".", 1) if "." in starred else (starred, "")):
            if name in table:
                return table[name].replace("*", number.group(1) if number else "") + (leaf and f".{leaf}")
    raise KeyError(key)


def _is_residual(inside: str) -> bool:
    return inside.startswith(("residual.", "shortcut."))


def _inside(inside: str) -> str:
    """The name inside a block: what a residual block has by numbers has names in the published form."""
    name, leaf = inside.rsplit(".", 1) if "." in inside else (inside, "")
    return f"{_INSIDE[name]}.{leaf}"
