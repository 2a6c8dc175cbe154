"""The VAE, from and to a folder of diffusers' AutoencoderKLWan; the keys are the same on both sides."""

from pathlib import Path

import torch

from hibari.errors import BadWeights
from hibari.model.vae import VAEConfig, WanVAE
from hibari.model.weights.folder import CONFIG, published_config, read_class, read_config, read_tensors, write_folder

CLASS = "AutoencoderKLWan"
# Older files of the Wan 2.1 form lack the fields that came with Wan 2.2; our defaults are those of the 2.1 form.
MAY_LACK = frozenset(
    {"decoder_base_dim", "is_residual", "in_channels", "out_channels", "patch_size"}
    | {"scale_factor_temporal", "scale_factor_spatial"}
)
# Published with the Wan 2.2 form; diffusers reads it nowhere, and decodes into [-1, 1] whatever it says.
UNREAD = frozenset({"clip_output"})


def load_vae(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> WanVAE:
    """The VAE of a folder, on a device and in one dtype. Raises BadWeights."""
    config = _read_config(folder)
    with torch.device("meta"):
        model = WanVAE(config)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    state = {key: tensor.to(device, dtype, copy=True) for key, tensor in read_tensors(folder, shapes).items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model


def save_vae(model: WanVAE, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a folder that `load_vae` and diffusers open, in `dtype` or as the weights are. Raises OutputError."""
    state = {key: tensor.to(dtype or tensor.dtype) for key, tensor in model.state_dict().items()}
    write_folder(folder, CLASS, published_config(model.config), state)


def _read_config(folder: Path) -> VAEConfig:
    read_class(folder, (CLASS,))
    config = read_config(folder, VAEConfig, lacks=frozenset(), may_lack=MAY_LACK, unread=UNREAD)
    where = folder / CONFIG
    if not len(config.latents_mean) == len(config.latents_std) == config.z_dim:
        raise BadWeights(f"{where}: latents_mean and latents_std must have {config.z_dim} numbers each.")
    if len(config.temperal_downsample) != len(config.dim_mult) - 1:
        raise BadWeights(f"{where}: temperal_downsample must be one shorter than dim_mult.")
    if config.attn_scales:
        raise BadWeights(f"{where}: attn_scales is not empty: this form of the model is not supported.")
    return config
