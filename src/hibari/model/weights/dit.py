"""The transformer, from and to a folder of diffusers' WanTransformer3DModel or SkyReelsV2Transformer3DModel.

Legend: D width, C channels, P numbers in a patch.
"""

from dataclasses import replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from hibari.errors import BadWeights
from hibari.model.dit import DiTConfig, WanDiT, kept_dtype
from hibari.model.stored import Storage, store
from hibari.model.weights.folder import CONFIG, published_config, read_class, read_config, read_tensors, write_folder
from hibari.model.weights.keys import published_key

WAN, SKYREELS = "WanTransformer3DModel", "SkyReelsV2Transformer3DModel"
# The text length is fixed in Wan and stands in no config.json.
OURS_ALONE = frozenset({"text_len"})
SKYREELS_ALONE = frozenset({"inject_sample_info", "num_frame_per_block"})
# Fields that came after the first published folders.
MAY_LACK = frozenset({"image_dim", "added_kv_proj_dim", "pos_embed_seq_len"}) | SKYREELS_ALONE | OURS_ALONE
# The first image-to-video folders hold it; no release of diffusers uses it.
UNREAD = "blocks.{}.attn2.norm_added_q.weight"
# Published as a convolution's kernel (D,C,pt,ph,pw); ours is a linear layer on patches (D, pt*ph*pw*C).
KERNEL = "patch_embedding.weight"


def load_dit(
    folder: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    storage: Storage = Storage(),  # noqa: B008  # frozen
) -> WanDiT:
    """The transformer of a folder, on a device; some parts stay float32 (`kept_dtype`). Raises BadWeights.

    `storage` says how the linear layers of its blocks are kept.
    """
    config = _read_config(folder)
    with torch.device("meta"):
        model = WanDiT(config)
    unread = {UNREAD.format(i): (config.width,) for i in range(config.num_layers) if config.image_dim is not None}
    published = read_tensors(folder, _published_shapes(model), unread)
    if not storage.plain:

        def read(key: str) -> Tensor:
            return published[published_key(f"blocks.{key}")]

        store(model.blocks, storage, torch.device(device), dtype, read)
    state = model.state_dict()
    for key in [key for key, tensor in state.items() if tensor.is_meta]:
        tensor = published[published_key(key)]
        tensor = kernel_to_linear(tensor) if key == KERNEL else tensor
        state[key] = tensor.to(device, kept_dtype(key, dtype), copy=True)
    model.load_state_dict(state, strict=True, assign=True)
    return model


def save_dit(model: WanDiT, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a folder that `load_dit` and diffusers open. Raises OutputError.

    dtype: what to write all of it in; None leaves the weights as they are. What is kept wide while computing is widened
    when it is loaded.
    """
    config = model.config
    state = {key: tensor.to(dtype or tensor.dtype) for key, tensor in model.state_dict().items()}
    kernel = state[KERNEL].unflatten(1, (*config.patch_size, config.in_channels)).permute(0, 4, 1, 2, 3)
    tensors = {published_key(key): kernel if key == KERNEL else tensor for key, tensor in state.items()}
    skyreels = config.inject_sample_info is not None
    values = published_config(config, left_out=OURS_ALONE if skyreels else OURS_ALONE | SKYREELS_ALONE)
    write_folder(folder, SKYREELS if skyreels else WAN, values, tensors)


def _read_config(folder: Path) -> DiTConfig:
    class_name = read_class(folder, (WAN, SKYREELS))
    lacks = SKYREELS_ALONE if class_name == WAN else frozenset()
    config = read_config(folder, DiTConfig, lacks=lacks | OURS_ALONE, may_lack=MAY_LACK)
    if class_name == SKYREELS:
        config = replace(config, inject_sample_info=bool(config.inject_sample_info))
    where = folder / CONFIG
    if config.qk_norm != "rms_norm_across_heads":
        raise BadWeights(f"{where}: qk_norm is {config.qk_norm!r}, not 'rms_norm_across_heads'.")
    if config.attention_head_dim % 2:
        raise BadWeights(f"{where}: attention_head_dim is odd.")
    if config.added_kv_proj_dim != (None if config.image_dim is None else config.width):
        raise BadWeights(f"{where}: added_kv_proj_dim is {config.added_kv_proj_dim}, image_dim {config.image_dim}.")
    if config.pos_embed_seq_len is not None and config.image_dim is None:
        raise BadWeights(f"{where}: pos_embed_seq_len is {config.pos_embed_seq_len}, and there is no image_dim.")
    return config


def _published_shapes(model: WanDiT) -> dict[str, tuple[int, ...]]:
    config = model.config
    shapes = {published_key(key): tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    assert shapes[KERNEL] == (config.width, config.in_channels * prod(config.patch_size))
    return shapes | {KERNEL: (config.width, config.in_channels, *config.patch_size)}


def kernel_to_linear(kernel_DCTHW: Tensor) -> Tensor:
    """A published kernel (D,C,pt,ph,pw) as our linear layer on patches has it."""
    return kernel_DCTHW.permute(0, 2, 3, 4, 1).flatten(1)
