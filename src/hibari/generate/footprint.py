"""What a generation holds in memory and computes, layer by layer, from sizes alone. No torch here.

Each function walks a part of the model as its code does, and counts the tensors that are alive at once: how many come
from reading `model/dit.py` and `model/vae_layers.py`; `benchmarks/plan_memory.py` holds them against what is measured.

Legend: S bytes of the token stream, A cells of the latent grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from hibari.generate.anatomy import DiTSizes, VAESizes
from hibari.generate.fit import Decoding
from hibari.model.tiles import decoder_halo, spans, tiled_levels
from hibari.shapes import LatentShape

TEXT_TOKENS = 64  # of a prompt; what a longer one takes on top is little beside all else
SOLVER_COPIES = 12  # latents in float32 that a solver, guidance and the conditions hold between them
SCORES = 1 << 19  # attention scores that are worked on at a time (model/attention.py)
SCATTERED = 0.4  # what pieces of up to 32 MB take more, for those that lie free between others; measured
SMALL, LARGE = 32e6, 96e6  # bytes of the largest pieces; the C library gives those beyond back at once, and all of them
HEAP = 32 * 2**20  # bytes; the C library keeps smaller pieces in a heap, and maps larger ones one by one
KEPT = 1.5  # what a heap takes more than the most that was in it, where all pieces are that small; measured
BESIDE = 0.12  # of the most that was in the heap, what is left there beside larger pieces; measured
WORKSPACE = 40e6  # that decoding takes whatever the size; measured
CONV_IN, CONV_OUT = 2, 1  # copies of what goes in and comes out that a convolution makes for itself; measured


@dataclass(frozen=True, kw_only=True)
class Work:
    """Floating point operations, by what they are: matrix products, attention, convolutions."""

    linear: float = 0.0
    attention: float = 0.0
    convolution: float = 0.0


def denoising_bytes(dit: DiTSizes, tokens: int, clips: int, size: int, chunked: bool) -> float:
    """The most that one pass of the transformer holds beside its weights, over `clips` of so many `tokens` each.

    `size` is the bytes of a number, `chunked` says whether attention is worked in blocks of scores.
    """
    stream = clips * tokens * dit.width * size
    wide = 4 / size  # what is normalised is worked in float32
    normalising = 6 + wide + 1
    attending = 9 if chunked else 8
    feeding = 3 + 2 * dit.ffn / dit.width
    blocks = 2 * SCORES * size if chunked else 0
    text = 2 * clips * TEXT_TOKENS * dit.layers * dit.width * size
    rotations = tokens * dit.width / dit.heads * 4 * 3
    latent = 4 * clips * tokens * dit.patch * dit.out_channels * SOLVER_COPIES
    return scattered(stream * max(normalising, attending, feeding) + blocks + text + rotations + latent, stream)


def scattered(total: float, piece: float) -> float:
    """What `total` bytes take where the largest pieces are of such a size."""
    return total * (1 + SCATTERED * min(1.0, max(0.0, (LARGE - piece) / (LARGE - SMALL))))


def denoising_work(dit: DiTSizes, tokens: int, clips: int) -> Work:
    """What one pass of the transformer computes."""
    each = 6 * dit.width**2 + 2 * dit.width * dit.ffn
    return Work(
        linear=2.0 * clips * tokens * dit.layers * each,
        attention=4.0 * clips * tokens * dit.layers * dit.width * (tokens + TEXT_TOKENS),
    )


@dataclass(frozen=True, kw_only=True)
class _Conv:
    """A causal convolution: numbers in and out, taps, and frames that it remembers."""

    into: int
    out: int
    taps: int = 27
    history: int = 2


@dataclass(frozen=True, kw_only=True)
class _Level:
    """One level of a decoder: its grid and its layers. `frames` are those of its grid, and `cells` of one frame."""

    channels: int
    out: int
    frames: int
    cells: float
    blocks: int
    up: int  # channels after the upsampler; 0: there is none
    temporal: bool
    shortcut: bool

    @property
    def convs(self) -> Iterator[_Conv]:
        """The convolutions of its residual blocks."""
        into = self.channels
        for _ in range(self.blocks):
            yield _Conv(into=into, out=self.out)
            yield _Conv(into=self.out, out=self.out)
            into = self.out

    def state(self, size: int) -> float:
        """Bytes that it remembers between two pieces of a clip."""
        tails = sum(conv.into * conv.history for conv in self.convs)
        return size * self.cells * (tails + (2 * self.out if self.temporal else 0))

    def piece(self, size: int) -> float:
        """Bytes of its largest tensor: its frames, with the two before them."""
        return size * self.cells * max(self.channels, self.out) * (self.frames + 2)

    def live(self, size: int) -> float:
        """The most bytes that it holds at once beside its state, with its own input, which its caller holds."""
        frame, given = size * self.cells, self.channels * self.frames
        most = residual_block(self.channels, self.out, self.frames)
        if self.blocks > 1:
            most = max(most, given + residual_block(self.out, self.out, self.frames))
        return frame * max(most, given + self._upsampling())

    def _upsampling(self) -> float:
        """Channels times frames of the coarse grid that are alive in the upsampler."""
        if not self.up:
            return 0.0
        frames = self.frames * (2 if self.temporal else 1)
        x, doubled = self.out * self.frames, self.out * frames
        in_time = x + (1 + CONV_OUT) * doubled + (1 + CONV_IN) * self.out * (self.frames + 2) if self.temporal else 0.0
        kept = x + (doubled if self.temporal else 0)
        in_space = kept + 4 * ((1 + CONV_IN) * doubled + (1 + CONV_OUT) * self.up * frames)
        added = x + 3 * 4 * self.up * frames if self.shortcut else 0.0
        return max(in_time, in_space, added)

    def work(self) -> float:
        """Floating point operations."""
        cells = self.frames * self.cells
        blocks = sum(2.0 * conv.into * conv.out * conv.taps * cells for conv in self.convs)
        frames = cells * (2 if self.temporal else 1)
        in_time = 2.0 * self.out * 2 * self.out * 3 * cells if self.temporal else 0.0
        return blocks + in_time + (2.0 * self.out * self.up * 9 * 4 * frames if self.up else 0.0)


def residual_block(into: int, out: int, frames: int) -> float:
    """Channels times frames that are alive in a residual block: in its first convolution, or in its second."""
    shortcut = out * frames if into != out else 0
    joined = frames + 2  # with the two frames before them, which are held once more as they were and as they will be
    first = into * (2 * frames + (1 + CONV_IN) * joined + 2) + (1 + CONV_OUT) * out * frames
    second = into * frames + out * (2 * frames + (1 + CONV_IN) * joined + 2 + (1 + CONV_OUT) * frames)
    return shortcut + max(first, second)


def _levels(vae: VAESizes, frames: int, cells: float) -> list[_Level]:
    """The levels of a decoder for so many latent frames, coarsest first."""
    dims = [vae.base_dim * factor for factor in (vae.dim_mult[-1], *vae.dim_mult[::-1])]
    last, made = len(vae.dim_mult) - 1, []
    for index, (into, out) in enumerate(pairwise(dims)):
        up, temporal = index < last, index < last and vae.temporal[index]
        made.append(
            _Level(
                channels=into if vae.is_residual or index == 0 else into // 2,
                out=out,
                frames=frames,
                cells=cells,
                blocks=vae.num_res_blocks + 1,
                up=(out if vae.is_residual else out // 2) if up else 0,
                temporal=temporal,
                shortcut=vae.is_residual and up,
            )
        )
        frames, cells = frames * (2 if temporal else 1), cells * (4 if up else 1)
    return made


def decoding_bytes(vae: VAESizes, latent: LatentShape, how: Decoding, size: int) -> float:
    """The most that decoding a latent holds beside the weights; how long it is counts where it is decoded by tile."""
    _, frames, rows, columns = latent
    at_once = min(frames, how.frames)
    levels = _levels(vae, at_once, rows * columns)
    last = levels[-1]
    pixels = 3 * last.frames * last.cells * vae.patch**2 * 4
    done = pixels * (size / 4 + 3 + 1 / 4)  # the piece that is finished, as it becomes frames
    if how.tile is None:
        states = sum(level.state(size) for level in levels) + _ends(vae, levels, size)
        alive = [(level.live(size), level.piece(size)) for level in levels]
        return WORKSPACE + states + max(_taken([*alive, (_last(vae, last, size), last.piece(size))]), done)
    share, whole = _tiling(vae, rows, columns, how)
    coarse, fine = _split(levels, how)
    states = sum(level.state(size) for level in coarse) + (share if how.by_tile else whole) * (
        sum(level.state(size) for level in fine) + _ends(vae, levels, size)
    )
    given = fine[0].channels * fine[0].frames * fine[0].cells * size + pixels * size / 4
    if how.by_tile:  # what is given to the tiles, and what they make, is there for the whole clip
        states, given = states + given * frames / at_once, 0.0
    alive = [(level.live(size), level.piece(size)) for level in coarse]
    alive += [(given + share * level.live(size), share * level.piece(size)) for level in fine]
    return WORKSPACE + states + max(_taken(alive), done)


def _taken(alive: list[tuple[float, float]]) -> float:
    """What bytes that are alive at one time or another take, given with those of the largest piece among them."""
    mapped, heap = (
        max((live for live, piece in alive if (piece < HEAP) is small), default=0.0) for small in (False, True)
    )
    return max(mapped, heap) + BESIDE * heap if mapped else KEPT * heap


def _split(levels: list[_Level], how: Decoding) -> tuple[list[_Level], list[_Level]]:
    """The levels that are not tiled, and those that can be."""
    tiled = tiled_levels(len(levels), how.by_tile)
    return levels[:-tiled], levels[-tiled:]


def _ends(vae: VAESizes, levels: list[_Level], size: int) -> float:
    """Bytes that the first and the last convolution remember."""
    return 2 * size * (vae.z_dim * levels[0].cells + levels[-1].out * levels[-1].cells)


def _last(vae: VAESizes, last: _Level, size: int) -> float:
    """Bytes alive in the last convolution and in what turns its patches into pixels."""
    frames, cells = last.frames, last.cells
    conv = last.out * (2 * frames + (1 + CONV_IN) * (frames + 2) + 2) + (1 + CONV_OUT) * vae.out_channels * frames
    return size * cells * max(conv, last.out * frames + 2 * vae.out_channels * frames)


def _tiling(vae: VAESizes, rows: int, columns: int, how: Decoding) -> tuple[float, float]:
    """The share of the frame that the largest tile is with its halo, and what all are together of it."""
    assert how.tile is not None
    levels = len(vae.dim_mult)
    tiled = tiled_levels(levels, how.by_tile)
    halo = decoder_halo(tiled, vae.num_res_blocks + 1)
    cell, scale = vae.patch * 2 ** (tiled - 1), 2 ** (levels - tiled)
    share, whole = 1.0, 1.0
    for length in (rows * scale, columns * scale):
        sides = [span.high - span.low for span in spans(length, how.tile // cell, halo)]
        share, whole = share * max(sides) / length, whole * sum(sides) / length
    return share, whole


def decoding_work(vae: VAESizes, latent: LatentShape, how: Decoding) -> Work:
    """What decoding a latent computes."""
    _, frames, rows, columns = latent
    levels = _levels(vae, frames, rows * columns)
    more = 1.0 if how.tile is None else _tiling(vae, rows, columns, how)[1]
    coarse, fine = _split(levels, how)
    width = levels[0].channels
    middle = frames * rows * columns * 2.0 * 27 * width * (4 * width + vae.z_dim)
    ends = 2.0 * 27 * levels[-1].out * vae.out_channels * levels[-1].frames * levels[-1].cells
    return Work(
        convolution=middle
        + sum(level.work() for level in coarse)
        + more * (sum(level.work() for level in fine) + ends),
        attention=4.0 * frames * (rows * columns) ** 2 * width,
    )
