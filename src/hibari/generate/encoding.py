"""What encoding a clip or a start image holds in memory, layer by layer, from sizes alone; `footprint.py` decodes.

It walks the encoder as `model/vae.py` does, which takes a latent frame's worth of frames at a time. No torch here.
"""

from itertools import pairwise

from hibari.generate.anatomy import VAESizes
from hibari.generate.footprint import CONV_IN, CONV_OUT, residual_block, scattered
from hibari.model.tiles import encoder_halo, spans, tiled_levels

TILED = 1.1  # what tiles take more than their numbers, for what each leaves until its next turn; measured
PIXEL_BYTES = 1 + 4 + 4  # of a number of a frame: as it comes, and twice in float32 on its way to the model's type


def encoding_bytes(vae: VAESizes, rows: int, columns: int, tile: int | None, size: int) -> float:
    """The most that encoding a clip of that latent grid holds beside the weights, however long it is.

    `tile` is the most pixels a side of a tile (None: whole frames), `size` the bytes of a number.
    """
    levels = len(vae.dim_mult)
    fine = rows * columns * 4 ** (levels - 1)
    tiled = tiled_levels(levels)
    share, whole = _tiling(vae, rows, columns, tile) if tile is not None else (1.0, 1.0)
    frames, cells = 2 ** sum(vae.temporal), float(fine)
    pixels = 3 * frames * cells * vae.patch**2 * (PIXEL_BYTES + size)
    state = live = largest = 0.0
    dims = [vae.encoder_dim * factor for factor in (1, *vae.dim_mult)]
    for index, (into, out) in enumerate(pairwise(dims)):
        down = index < levels - 1
        temporal = down and vae.temporal[::-1][index]
        most, kept, taken = _level(vae, into, out, frames, down=down)
        part, together = (share, whole) if index < tiled else (1.0, 1.0)
        live = max(live, most * cells * size * part)
        state += (kept * cells + (out * cells / 4 if temporal else 0)) * size * together
        largest = max(largest, taken * cells * size * part)
        frames, cells = frames // (2 if temporal else 1), cells / (4 if down else 1)
    taken = scattered(pixels + state + live, largest)
    return taken if tile is None else TILED * taken


def _level(vae: VAESizes, into: int, out: int, frames: int, *, down: bool) -> tuple[float, float, float]:
    """Of a level, for each cell: numbers alive at the most, remembered, and in the largest piece."""
    given = into * frames if vae.is_residual else 0  # for the shortcut around all of it
    most = residual_block(into, out, frames)
    if vae.num_res_blocks > 1:
        most = max(most, given + residual_block(out, out, frames))
    if down:  # padded, and what the convolution makes of it
        x = out * frames
        most = max(most, given + (2 + CONV_IN) * x + (1 + CONV_OUT) * x / 4)
    remembered = 2 * (into + out) + (vae.num_res_blocks - 1) * 4 * out
    return most, remembered, out * frames


def _tiling(vae: VAESizes, rows: int, columns: int, tile: int) -> tuple[float, float]:
    """The share of the frame that the largest tile is with its halo, and what all are together of it."""
    levels = len(vae.dim_mult)
    halo, share, whole = encoder_halo(levels, vae.num_res_blocks), 1.0, 1.0
    for length in (rows * 2 ** (levels - 1), columns * 2 ** (levels - 1)):
        sides = [span.high - span.low for span in spans(length, tile // vae.patch, halo, 2 ** tiled_levels(levels))]
        share, whole = share * max(sides) / length, whole * sum(sides) / length
    return share, whole
