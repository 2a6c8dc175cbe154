"""Text and image encoders of original checkpoints as transformers' own classes, their sizes read off the tensors."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hibari.errors import BadWeights
from hibari.model.quantised import Kind
from hibari.model.stored import Storage, store
from hibari.model.weights.originals import image_key, read_pickle, split_image, text_key

EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight")  # two names of one tensor in a text encoder
HEAD_WIDTH = 80  # of the image encoder: the one size that no tensor's shape tells


def load_original(encoder: Any, path: Path, device: torch.device, dtype: torch.dtype, storage: Kind = "exact") -> Any:
    """A `.pth` file as transformers' UMT5EncoderModel or CLIPVisionModel, in one dtype; raises BadWeights.

    `storage` says how a text encoder keeps the linear layers of its blocks.
    """
    is_text = encoder.__name__ == "UMT5EncoderModel"
    try:
        tensors = _text_tensors(path) if is_text else _image_tensors(path)
        config = encoder.config_class(**(_text_sizes(tensors) if is_text else _image_sizes(tensors)))
        with torch.device("meta"):
            model = encoder(config)
        if is_text:
            return fill_text_encoder(model, tensors, device, dtype, storage)
        state = {key: tensor.to(device, dtype, copy=True) for key, tensor in tensors.items()}
        model.load_state_dict(state, strict=True, assign=True)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        raise BadWeights(f"{path}: not a whole {encoder.__name__} ({first}).", option="model") from error
    # Not among the weights, so still without numbers.
    model.embeddings.position_ids = torch.arange(model.embeddings.num_positions, device=device)[None]
    return model


def fill_text_encoder(
    model: Any, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype, storage: Kind
) -> Any:
    """A UMT5EncoderModel that was made on meta, with its weights; those of its blocks' linear layers as `storage` says.

    They are taken one by one out of `tensors`, which may lie in mapped files, so that it is never held twice. Raises
    KeyError and RuntimeError where they are not this model's.
    """
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    for key, tensor in tensors.items():
        if shapes[key] != tensor.shape:
            raise RuntimeError(f"{key} has shape {tuple(tensor.shape)}, not {tuple(shapes[key])}")
    if storage != "exact":
        read = partial(_block_tensor, tensors)
        store(model.encoder.block, Storage(kind=storage), device, dtype, read)
    waiting = [key for key, tensor in model.state_dict().items() if tensor.is_meta and key not in EMBEDDINGS]
    state = {key: tensors[key].to(device, dtype, copy=True) for key in waiting}
    embedding = next(tensors[key] for key in EMBEDDINGS if key in tensors).to(device, dtype, copy=True)
    held = {key: tensor for key, tensor in model.state_dict().items() if not tensor.is_meta}
    model.load_state_dict(held | state | dict.fromkeys(EMBEDDINGS, embedding), strict=True, assign=True)
    model.set_input_embeddings(model.get_input_embeddings())  # one tensor again, and not two of the same numbers
    return model


def _block_tensor(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    return tensors[f"encoder.block.{key}"]


def _text_tensors(path: Path) -> dict[str, Tensor]:
    return read_pickle(path, text_key)


def _image_tensors(path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, tensor in read_pickle(path, image_key).items():
        found |= split_image(key, tensor)
    return found


def _text_sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    layer = "encoder.block.0.layer."
    vocabulary, width = tensors["shared.weight"].shape
    buckets, heads = tensors[f"{layer}0.SelfAttention.relative_attention_bias.weight"].shape
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "d_kv": tensors[f"{layer}0.SelfAttention.q.weight"].shape[0] // heads,
        "d_ff": tensors[f"{layer}1.DenseReluDense.wo.weight"].shape[1],
        "num_heads": heads,
        "num_layers": _layers(tensors, r"encoder\.block\.(\d+)\."),
        "relative_attention_num_buckets": buckets,
    }


def _image_sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    width, _, patch, _ = tensors["embeddings.patch_embedding.weight"].shape
    side = round((tensors["embeddings.position_embedding.weight"].shape[0] - 1) ** 0.5)
    return {
        "hidden_size": width,
        "intermediate_size": tensors["encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_attention_heads": width // HEAD_WIDTH,
        "num_hidden_layers": _layers(tensors, r"encoder\.layers\.(\d+)\."),
        "patch_size": patch,
        "image_size": side * patch,
        "hidden_act": "gelu",
    }


def _layers(tensors: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for key in tensors if (match := re.match(pattern, key))})
