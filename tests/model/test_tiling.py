"""Tiles give what the whole frame gives, in every form, in pieces of time. About 6 s."""

import pytest
import torch
from tests.model.test_vae import FORMS, distance

from hibari.model.tiles import decoder_halo, encoder_halo, spans
from hibari.model.tiling import TiledState, decode_by_tile, decode_tiles, encode_tiles
from hibari.model.vae import VAEConfig, WanVAE
from hibari.model.vae_layers import StreamState

TILE = 64  # pixels; the frames below are three tiles wide and two high


def vae_of(form: str, dtype: torch.dtype = torch.float32) -> WanVAE:
    """A VAE with random weights, larger than it would start with, so that far neighbours count."""
    generator = torch.Generator().manual_seed(4)
    vae = WanVAE(VAEConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in FORMS[form].items()}))
    with torch.no_grad():
        for parameter in vae.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
            parameter.normal_(std=1.4 * fan_in**-0.5, generator=generator)
    return vae.to(dtype).eval()


def latent_of(vae: WanVAE, frames: int = 4) -> torch.Tensor:
    space = vae.config.scale_factor_spatial
    shape = (1, vae.config.z_dim, frames, 128 // space, 192 // space)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_decoding_by_tiles_equals_decoding_whole(form: str) -> None:
    vae = vae_of(form)
    whole, tiled = StreamState(), TiledState()
    for part in latent_of(vae).split((2, 1, 1), dim=2):
        want = vae.decode_chunk(part, whole)
        assert distance(decode_tiles(vae, part, tiled, TILE), want) < 1e-5
    assert len(tiled.tiles) == 6


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_each_tile_through_the_whole_clip_equals_decoding_whole(form: str) -> None:
    vae = vae_of(form)
    latent = latent_of(vae)
    want = vae.decode(latent)
    assert distance(decode_by_tile(vae, latent.split((2, 1, 1), dim=2), TILE), want) < 1e-5
    assert distance(decode_by_tile(vae, [latent[:, :, :1]], TILE), want[:, :, :1]) < 1e-5


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_encoding_by_tiles_equals_encoding_whole(form: str) -> None:
    vae = vae_of(form)
    video = torch.rand(1, 3, 9, 128, 192, generator=torch.Generator().manual_seed(3)) * 2 - 1
    whole, tiled = StreamState(), TiledState()
    for part in video.split((1, 4, 4), dim=2):
        want_mean, want_logvar = vae.encode_chunk(part, whole)
        mean, logvar = encode_tiles(vae, part, tiled, TILE)
        assert distance(mean, want_mean) < 1e-5
        assert distance(logvar, want_logvar) < 1e-5
    assert len(tiled.tiles) == 6


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_a_smaller_halo_would_not_do(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = vae_of(form)
    want = vae.decode_chunk(latent_of(vae, 1), StreamState())
    monkeypatch.setattr("hibari.model.tiling.decoder_halo", lambda *sizes: decoder_halo(*sizes) // 2)
    assert distance(decode_tiles(vae, latent_of(vae, 1), TiledState(), TILE), want) > 1e-4
    assert distance(decode_by_tile(vae, [latent_of(vae, 1)], TILE), want) > 1e-4


@torch.no_grad()
def test_a_whole_tile_alone_has_other_colours() -> None:
    """What others tile: the middle block sees one tile, and not the frame."""
    vae = vae_of("Wan 2.1")
    latent = latent_of(vae, 1)
    want = vae.decode_chunk(latent, StreamState())[..., :64, :64]
    assert distance(vae.decode_chunk(latent[..., :8, :8], StreamState())[..., :16, :16], want[..., :16, :16]) > 0.01


def test_halos_of_the_published_vaes() -> None:
    assert decoder_halo(2, 3) == 10
    assert decoder_halo(3, 3) == 12
    assert encoder_halo(4, 2) == 16
    assert encoder_halo(3, 1) % 4 == 0


def test_spans_cover_an_axis_once() -> None:
    for length, tile, halo, multiple in ((60, 16, 5, 1), (64, 24, 8, 4), (5, 100, 3, 1), (8, 1, 4, 4)):
        made = spans(length, tile, halo, multiple)
        assert [cell for span in made for cell in range(span.start, span.stop)] == list(range(length))
        assert all(
            span.low == max(0, span.start - halo) and span.high == min(length, span.stop + halo) for span in made
        )
