"""Decoding and encoding by tiles of the frame, piece by piece in time: less memory, and the same result.

Two parts of a Wan VAE look at more than a neighbourhood. The middle block attends over the whole frame, on the coarsest
grid, where a frame is small: it is never tiled. A tile that it saw alone would get another brightness and colour, which
is what shows as seams elsewhere. All else is convolutions and norms of single positions, so a tile that comes with as
many neighbours as its convolutions reach (the halo), and is cropped after, is exact: nothing needs to be blended. The
halo is small because only the finest levels are tiled, two or three of them; nearly all memory is there.

Legend: B batch, C channels, T H W time, rows, columns of whatever grid the layer is on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from hibari.model.tiles import Span, decoder_halo, encoder_halo, spans, tiled_levels
from hibari.model.vae import WanVAE
from hibari.model.vae_layers import StreamState, activate, fold, unfold

SHOWN_AT_ONCE = 8  # frames of a finished clip that are a piece of it


@dataclass
class TiledState:
    """What a VAE remembers between the pieces of one clip: of the coarse levels whole, of the fine ones by tile."""

    whole: StreamState = field(default_factory=StreamState)
    tiles: dict[tuple[Span, Span], StreamState] = field(default_factory=dict)

    def of(self, tile: tuple[Span, Span]) -> StreamState:
        """The state of one tile."""
        return self.tiles.setdefault(tile, StreamState())


def decode_pieces(
    vae: WanVAE, latents_BCTHW: Sequence[Tensor], tile: int | None = None, by_tile: bool = False
) -> Iterator[Tensor]:
    """The video of a clip whose latent comes in pieces of time, in pieces: by whole frames, or by tiles.

    With `by_tile` the first piece comes when all of the clip is decoded; otherwise memory is constant.
    """
    if tile is not None and by_tile:
        yield from decode_by_tile(vae, latents_BCTHW, tile).split(SHOWN_AT_ONCE, dim=2)
        return
    state, tiles = StreamState(), TiledState()
    for part in latents_BCTHW:
        yield vae.decode_chunk(part, state) if tile is None else decode_tiles(vae, part, tiles, tile)


def decode_tiles(vae: WanVAE, latent_BCTHW: Tensor, state: TiledState, tile: int) -> Tensor:
    """The next latent frames of a clip as `WanVAE.decode_chunk` decodes them, by tiles of at most `tile` pixels."""
    tiled = tiled_levels(len(vae.config.dim_mult))
    x = _coarse(vae, latent_BCTHW, state.whole, tiled)
    video_BCTHW: Tensor | None = None
    for place in _decoder_tiles(vae, x, tile, tiled):
        part = _fine(vae, x, place, state.of(place), tiled)
        if video_BCTHW is None:
            video_BCTHW = _blank(vae, x, part, tiled, part.shape[2])
        _lay(video_BCTHW, part, place, _cell(vae, tiled))
    assert video_BCTHW is not None
    return video_BCTHW


def decode_by_tile(vae: WanVAE, latents_BCTHW: Sequence[Tensor], tile: int) -> Tensor:
    """A whole clip, given in pieces of time: each tile of at most `tile` pixels goes through all of it, then the next.

    So one tile's state is held at a time, with the clip on the grid of the last level that is not tiled, and the
    finished clip: far less than the states of all tiles, as long as the clip is not very long.
    """
    tiled = tiled_levels(len(vae.config.dim_mult), by_tile=True)
    whole, video_BCTHW = StreamState(), None
    pieces = [_coarse(vae, latent_BCTHW, whole, tiled) for latent_BCTHW in latents_BCTHW]
    frames = vae.config.scale_factor_temporal * (sum(latent.shape[2] for latent in latents_BCTHW) - 1) + 1
    for place in _decoder_tiles(vae, pieces[0], tile, tiled):
        own, done = StreamState(), 0
        for x in pieces:
            part = _fine(vae, x, place, own, tiled)
            if video_BCTHW is None:
                video_BCTHW = _blank(vae, x, part, tiled, frames)
            _lay(video_BCTHW[:, :, done : done + part.shape[2]], part, place, _cell(vae, tiled))
            done += part.shape[2]
        assert done == frames
    assert video_BCTHW is not None
    return video_BCTHW


def encode_tiles(vae: WanVAE, video_BCTHW: Tensor, state: TiledState, tile: int) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of the next frames of a clip, as `WanVAE.encode_chunk` has them, by tiles."""
    encoder, tiled, patch = vae.encoder, tiled_levels(len(vae.config.dim_mult)), vae.config.patch_size or 1
    cell = 2**tiled
    count = tiled * (1 if vae.config.is_residual else vae.config.num_res_blocks + 1)
    x_BCTHW = fold(video_BCTHW, patch)
    coarse: Tensor | None = None
    halo = encoder_halo(len(vae.config.dim_mult), vae.config.num_res_blocks)
    for rows, columns in _tiles(x_BCTHW, tile // patch, halo, multiple=cell):
        part, own = x_BCTHW[..., rows.low : rows.high, columns.low : columns.high], state.of((rows, columns))
        part = encoder.conv_in(part.contiguous(memory_format=torch.channels_last_3d), own)
        for block in encoder.down_blocks[:count]:
            part = block(part, own)
        own.started = True
        if coarse is None:
            coarse = part.new_empty(*part.shape[:3], x_BCTHW.shape[3] // cell, x_BCTHW.shape[4] // cell)
        _lay(coarse, part, tuple(Span(*(side // cell for side in span)) for span in (rows, columns)), 1)
    assert coarse is not None

    whole = state.whole
    x = coarse.contiguous(memory_format=torch.channels_last_3d)
    for block in encoder.down_blocks[count:]:
        x = block(x, whole)
    x = encoder.conv_out(activate(encoder.norm_out, encoder.mid_block(x, whole)), whole)
    whole.started = True
    mean, logvar = vae.quant_conv(x, whole).chunk(2, dim=1)
    return mean, logvar


def _coarse(vae: WanVAE, latent_BCTHW: Tensor, whole: StreamState, tiled: int) -> Tensor:
    """The levels of a decoder that are not tiled, for the next latent frames."""
    decoder = vae.decoder
    latent_BCTHW = latent_BCTHW.contiguous(memory_format=torch.channels_last_3d)
    x = decoder.mid_block(decoder.conv_in(vae.post_quant_conv(latent_BCTHW, whole), whole), whole)
    for block in decoder.up_blocks[:-tiled]:
        x = block(x, whole)
    whole.started = True
    return x


def _fine(vae: WanVAE, x: Tensor, place: tuple[Span, Span], own: StreamState, tiled: int) -> Tensor:
    """The other levels, for one tile with its halo: its pixels."""
    decoder, (rows, columns) = vae.decoder, place
    part = x[..., rows.low : rows.high, columns.low : columns.high]
    part = part.contiguous(memory_format=torch.channels_last_3d)
    for block in decoder.up_blocks[-tiled:]:
        part = block(part, own)
    part = unfold(decoder.conv_out(activate(decoder.norm_out, part), own), vae.config.patch_size or 1)
    own.started = True
    return part


def _cell(vae: WanVAE, tiled: int) -> int:
    """Pixels along a side of a cell of the grid on which a decoder's tiled levels start."""
    return (vae.config.patch_size or 1) * 2 ** (tiled - 1)


def _decoder_tiles(vae: WanVAE, x: Tensor, tile: int, tiled: int) -> Iterator[tuple[Span, Span]]:
    halo = decoder_halo(tiled, vae.config.num_res_blocks + 1)
    return _tiles(x, tile // _cell(vae, tiled), halo, multiple=1)


def _blank(vae: WanVAE, x: Tensor, part: Tensor, tiled: int, frames: int) -> Tensor:
    """Room for so many frames of which `part` is a tile."""
    cell = _cell(vae, tiled)
    return part.new_empty(*part.shape[:2], frames, x.shape[3] * cell, x.shape[4] * cell)


def _tiles(x_BCTHW: Tensor, tile: int, halo: int, multiple: int) -> Iterator[tuple[Span, Span]]:
    rows, columns = (spans(length, tile, halo, multiple) for length in x_BCTHW.shape[3:])
    yield from product(rows, columns)


def _lay(whole: Tensor, part: Tensor, tile: tuple[Span, ...], cell: int) -> None:
    """Put the core of a tile, which comes with its halo, into its place; a cell has become `cell` positions."""
    rows, columns = tile
    inner = [slice((span.start - span.low) * cell, (span.stop - span.low) * cell) for span in tile]
    whole[..., rows.start * cell : rows.stop * cell, columns.start * cell : columns.stop * cell] = part[
        ..., inner[0], inner[1]
    ]
