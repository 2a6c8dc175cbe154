"""A tiny random model in the form of hibari-mini, as a diffusers folder, for tests. Built by diffusers' own classes.

The text encoder, the tokenizer, the scheduler and model_index.json are the real ones of the weights distribution.
"""

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

import hibari_mini

SHIPPED = ("text_encoder", "tokenizer", "scheduler")


def build_tiny_pipeline(folder: Path, *, seed: int = 0) -> Path:
    """Write the pipeline into `folder`, which is made, and return it; equal seeds give equal weights."""
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tiny_transformer().save_pretrained(folder / "transformer")
        tiny_vae().save_pretrained(folder / "vae")
    weights = hibari_mini.path()
    for part in SHIPPED:
        (folder / part).symlink_to(weights / part, target_is_directory=True)
    shutil.copy(weights / "model_index.json", folder)
    return folder


def tiny_transformer() -> WanTransformer3DModel:
    """A transformer of one block, 2 heads of 128, for latents of 48 channels and text states of 384 numbers."""
    return WanTransformer3DModel(
        patch_size=(1, 1, 1),
        num_attention_heads=2,
        attention_head_dim=128,
        in_channels=48,
        out_channels=48,
        text_dim=384,
        freq_dim=256,
        ffn_dim=320,
        num_layers=2,
    )


def tiny_vae() -> AutoencoderKLWan:
    """A VAE of the Wan 2.2 form, 4x16x16 to 48 channels, with pixels folded by 4 and two halvings of space and time."""
    mean = torch.randn(48) * 0.2
    std = torch.rand(48) + 0.5
    return AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=8,
        z_dim=48,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[True, True],
        latents_mean=mean.tolist(),
        latents_std=std.tolist(),
        is_residual=True,
        in_channels=48,
        out_channels=48,
        patch_size=4,
        scale_factor_temporal=4,
        scale_factor_spatial=16,
    )
