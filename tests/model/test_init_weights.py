"""How training from scratch starts: what is at zero, and that words are heard over a prompt's padding. About 2 s."""

import torch

from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack
from hibari.model.vae import VAEConfig, WanVAE

SMALL = DiTConfig(num_attention_heads=2, attention_head_dim=64, ffn_dim=64, num_layers=1)


def test_transformer_starts_at_zero() -> None:
    model = WanDiT(SMALL)
    model.init_weights(torch.Generator().manual_seed(0))
    patches, layout = pack([torch.randn(48, 2, 3, 3)], (1, 1, 1))
    text = model.encode_text([torch.randn(7, 384)])
    assert not model(patches, layout, torch.ones(2), text).any()


def test_padding_does_not_drown_the_words() -> None:
    model = WanDiT(SMALL)
    generator = torch.Generator().manual_seed(0)
    model.init_weights(generator)
    layer = model.blocks[0].cross_attention
    words = torch.randn(12, 384, generator=generator)
    keys = layer.norm_k(layer.to_k(model.text_embedder(torch.cat([torch.zeros(1, 384), words]))))
    queries = layer.norm_q(layer.to_q(torch.randn(30, 128, generator=generator)))
    scores = torch.einsum("lnk,mnk->nlm", queries.view(30, 2, 64), keys.view(13, 2, 64)) / 64**0.5
    scores[..., 0] += torch.tensor(500.0).log()  # 500 equal keys of padding
    assert scores.softmax(-1)[..., 0].mean() < 0.25


def test_vae_starts_as_a_linear_code_of_patches() -> None:
    torch.manual_seed(0)
    form = VAEConfig(
        base_dim=8, z_dim=8, dim_mult=(1, 1), num_res_blocks=1, temperal_downsample=(True,), is_residual=True,
        in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=4, scale_factor_temporal=2,
    )  # fmt: skip
    model = WanVAE(form)
    model.init_weights(logvar=-6.0)
    mean, logvar = model.encode(torch.rand(1, 3, 3, 16, 16))
    assert mean.std() > 0 and torch.allclose(logvar, torch.tensor(-6.0), atol=0.5)
