"""The diffusion transformer of Wan 2.1, Wan 2.2 and SkyReels-V2 over packed clips.

One sequence holds the tokens of clips of different sizes. Linear layers see the whole sequence;
attention sees each run of equal clips as a batch. Every latent frame, or every token, has its own
noise level. Cross-attention looks at text, and in the image-to-video form of Wan 2.1 at pictures too; a
start image that comes as channels beside the noise is the caller's matter. Numerics follow diffusers'
WanTransformer3DModel and SkyReelsV2Transformer3DModel.

Legend: B clips of a run, L tokens, P numbers in a patch, D width, N heads, K head width, I pictures,
R rows of noise levels (latent frames of the pack, or distinct levels), M text rows, S text slots or states of a
picture, E numbers in one of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hibari.model.attention import Attend, attend, attend_by_block
from hibari.model.embedders import Embedder, ImageEmbedder
from hibari.model.modulation import TokenRows, lay_levels, sinusoids
from hibari.model.parallel import SequencePlan
from hibari.model.qk_norm import normalise_heads
from hibari.model.rope import rotations
from hibari.model.text_keys import LayerKeys, TextKeys
from hibari.shapes import PackLayout

# These stay in float32 when the model is cast down, as diffusers keeps them.
KEPT_IN_FLOAT32 = ("time_embedder", "modulation", "norm2", "image_embedder")

SLOW_RATE = 16  # frames a second; a model that learned its clips' rate tells this one from all others


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """The form of a WanDiT; field names are those of a published config.json.

    `image_dim`, `added_kv_proj_dim`: cross-attention sees pictures, as states of so many numbers each. With
    `pos_embed_seq_len` they come in pairs of that many states, which are told apart by their place.
    `inject_sample_info` is None in Wan, which has no such field; true where the model is told the clips' frame rate.
    """

    num_attention_heads: int = 3
    attention_head_dim: int = 128
    in_channels: int = 48
    out_channels: int = 48
    text_dim: int = 384
    freq_dim: int = 256
    ffn_dim: int = 1152
    num_layers: int = 7
    cross_attn_norm: bool = True
    qk_norm: str = "rms_norm_across_heads"
    eps: float = 1e-6
    patch_size: tuple[int, int, int] = (1, 1, 1)
    rope_max_seq_len: int = 1024
    text_len: int = 512
    image_dim: int | None = None
    added_kv_proj_dim: int | None = None
    pos_embed_seq_len: int | None = None
    inject_sample_info: bool | None = None
    num_frame_per_block: int = 1

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim


@dataclass(frozen=True)
class RunInputs:
    """What one run of equal clips needs in every layer."""

    shape: tuple[int, int]  # clips, and tokens of each
    rotations_LJ: Tensor
    slots_BS: Tensor
    slot_bias: Tensor
    pictures_B: Tensor  # of all the pack's pictures, those that each clip looks at; unused where there are none
    attend: Attend | None = None  # how its tokens look at each other; None: at all of them


class Attention(nn.Module):
    """The projections of one attention layer; queries and keys are RMS-normalised over all heads together.

    One that `sees_pictures` has keys and values of their own for them.
    """

    def __init__(self, config: DiTConfig, *, sees_pictures: bool = False) -> None:
        super().__init__()
        width = config.width
        self.eps = config.eps
        self.attend: Attend = attend
        self.head_shape = (config.num_attention_heads, config.attention_head_dim)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.Linear(width, width)
        self.norm_q = nn.RMSNorm(width, eps=config.eps)
        self.norm_k = nn.RMSNorm(width, eps=config.eps)
        if sees_pictures:
            self.image_to_k = nn.Linear(width, width)
            self.image_to_v = nn.Linear(width, width)
            self.image_norm_k = nn.RMSNorm(width, eps=config.eps)

    def queries(self, x_BLD: Tensor, rotations_LJ: Tensor | None = None) -> Tensor:
        """Queries (B,L,N,K) of projected states; they are divided by the root of K here, where it is free."""
        scale = self.head_shape[1] ** -0.5
        return normalise_heads(x_BLD, self.norm_q.weight, self.eps, self.head_shape[0], rotations_LJ, scale)

    def keys(self, x_BLD: Tensor, rotations_LJ: Tensor | None = None) -> Tensor:
        """Keys (B,L,N,K) of projected states."""
        return normalise_heads(x_BLD, self.norm_k.weight, self.eps, self.head_shape[0], rotations_LJ)

    def image_keys(self, x_ISD: Tensor) -> Tensor:
        """Keys (I,S,N,K) of embedded pictures."""
        return normalise_heads(self.image_to_k(x_ISD), self.image_norm_k.weight, self.eps, self.head_shape[0])

    def values(self, x_BLD: Tensor) -> Tensor:
        """Values (B,L,N,K) of projected states."""
        return x_BLD.unflatten(-1, self.head_shape)


class Block(nn.Module):
    """Self-attention, cross-attention to text, and a feed-forward layer, modulated by the noise level."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.self_attention = Attention(config)
        self.norm2 = nn.LayerNorm(width, config.eps) if config.cross_attn_norm else nn.Identity()
        self.cross_attention = Attention(config, sees_pictures=config.image_dim is not None)
        self.norm3 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.ffn_in = nn.Linear(width, config.ffn_dim)
        self.ffn_out = nn.Linear(config.ffn_dim, width)
        self.modulation = nn.Parameter(torch.empty(1, 6, width))

    def forward(
        self, x_LD: Tensor, time_R6D: Tensor, rows: TokenRows, runs: Sequence[RunInputs], text: LayerKeys
    ) -> Tensor:
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (self.modulation + time_R6D).unbind(1)

        y_LD = rows.scale_and_shift(self.norm1(x_LD), scale, shift)
        x_LD = rows.gate(self._self_attend(y_LD, runs), gate).add_(x_LD)

        y_LD = _normalise(self.norm2, x_LD)
        x_LD = self._cross_attend(y_LD, runs, text).add_(x_LD)

        y_LD = rows.scale_and_shift(self.norm3(x_LD), ffn_scale, ffn_shift)
        return rows.gate(self.ffn_out(gelu(self.ffn_in(y_LD))), ffn_gate).add_(x_LD)

    def _self_attend(self, y_LD: Tensor, runs: Sequence[RunInputs]) -> Tensor:
        layer = self.self_attention
        parts = []
        by_run = (_split(projection(y_LD), runs) for projection in (layer.to_q, layer.to_k, layer.to_v))
        for run, q_BLD, k_BLD, v_BLD in zip(runs, *by_run, strict=True):
            queries, keys = layer.queries(q_BLD, run.rotations_LJ), layer.keys(k_BLD, run.rotations_LJ)
            parts.append((run.attend or layer.attend)(queries, keys, layer.values(v_BLD), scale=1.0))
        return layer.to_out(_join(parts))

    def _cross_attend(self, y_LD: Tensor, runs: Sequence[RunInputs], text: LayerKeys) -> Tensor:
        layer = self.cross_attention
        parts = []
        for run, q_BLD in zip(runs, _split(layer.to_q(y_LD), runs), strict=True):
            queries = layer.queries(q_BLD)
            keys, values = text.keys[run.slots_BS], text.values[run.slots_BS]
            part = layer.attend(queries, keys, values, run.slot_bias, scale=1.0)
            if text.image_keys is not None and text.image_values is not None:
                keys, values = text.image_keys[run.pictures_B], text.image_values[run.pictures_B]
                part = part + layer.attend(queries, keys, values, scale=1.0)
            parts.append(part)
        return layer.to_out(_join(parts))


class WanDiT(nn.Module):
    """Predicts the velocity (noise - clean) of packed latents at their noise levels, told by text."""

    sequence_plan = SequencePlan(blocks="blocks", tokens=0, rows=2, runs=3)

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Linear(config.in_channels * prod(config.patch_size), width)
        self.time_embedder = Embedder(config.freq_dim, width, width, nn.SiLU())
        self.time_proj = nn.Linear(width, 6 * width)
        self.text_embedder = Embedder(config.text_dim, width, width, nn.GELU(approximate="tanh"))
        if config.image_dim is not None:
            self.image_embedder = ImageEmbedder(config.image_dim, width, config.pos_embed_seq_len)
        if config.inject_sample_info:
            self.fps_embedding = nn.Parameter(torch.empty(2, width))
            self.fps_projection = Embedder(width, width, 6 * width, nn.SiLU())
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm_out = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.proj_out = nn.Linear(width, config.out_channels * prod(config.patch_size))
        self.modulation = nn.Parameter(torch.empty(1, 2, width))

    def forward(
        self, patches_LP: Tensor, layout: PackLayout, levels: Tensor, text: TextKeys, fps: int | None = None
    ) -> Tensor:
        """Velocities (L,P) of a pack.

        patches_LP: the noisy patches, as `packing.pack` lays them. levels: noise levels from 0 (known) to
        1 (noise), one for each latent frame of the pack, or one for each token. text: one prompt for each
        clip. fps: the clips' frames a second, for a model that learned them. The answer has the dtype of `patches_LP`.
        """
        levels_R, rows = lay_levels(levels, layout)
        time_RD = self._embed_levels(levels_R)
        time_R6D = self._modulate(time_RD, fps).unflatten(1, (6, -1)).to(self.modulation.dtype)
        runs = self._prepare_runs(layout, text, patches_LP.device)

        x_LD = self.patch_embedding(patches_LP.to(self.patch_embedding.weight.dtype))
        for block, keys in zip(self.blocks, text.layers, strict=True):
            x_LD = block(x_LD, time_R6D, rows, runs, keys)

        shift, scale = (self.modulation + time_RD[:, None]).unbind(1)
        x_LD = rows.scale_and_shift(self.norm_out(x_LD), scale, shift)
        return self.proj_out(x_LD).to(patches_LP.dtype)

    def encode_text(self, texts: Sequence[Tensor], pictures_ISE: Tensor | None = None) -> TextKeys:
        """Keys and values of every layer for prompts given as token states (n_i, text_dim), 0 <= n_i <= text_len.

        pictures_ISE: the states of a picture (of a pair, one after the other) for all prompts, or of one for each.
        """
        assert (pictures_ISE is None) == (self.config.image_dim is None), "this form needs pictures, or knows none"
        lengths = tuple(len(text) for text in texts)
        assert max(lengths) <= self.config.text_len, f"{max(lengths)} text tokens, at most {self.config.text_len}"
        weight = self.text_embedder.linear_1.weight
        padding = weight.new_zeros(1, self.config.text_dim)
        states_MD = self.text_embedder(torch.cat([padding, *(text.to(weight) for text in texts)]))
        pictures_ISD = None
        if pictures_ISE is not None:
            assert len(pictures_ISE) in (1, len(texts)), "one picture for all prompts, or one for each"
            pictures_ISD = self.image_embedder(pictures_ISE.to(self.image_embedder.norm_in.weight)).to(weight.dtype)
        layers = tuple(_keys_of(block.cross_attention, states_MD, pictures_ISD) for block in self._layers())
        starts = tuple(accumulate(lengths, initial=1))[:-1]
        pictures = tuple(range(len(texts))) if pictures_ISE is not None and len(pictures_ISE) > 1 else (0,) * len(texts)
        return TextKeys(layers, starts, lengths, pictures, self.config.text_len)

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Fill the weights for training from scratch: gates and the last layer are zero (Peebles & Xie 2023).

        The zero padding of a prompt outweighs its words by far more than ten to one while all scores are alike.
        So queries start out turned away from the key that zero states have: their biases point against it.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
                nn.init.zeros_(module.bias)
            elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)) and module.weight is not None:
                nn.init.ones_(module.weight)
                if isinstance(module, nn.LayerNorm):
                    nn.init.zeros_(module.bias)
            elif isinstance(module, (Block, WanDiT)):
                nn.init.zeros_(module.modulation)
            elif isinstance(module, ImageEmbedder) and module.positions is not None:
                nn.init.zeros_(module.positions)
        if self.config.inject_sample_info:
            nn.init.normal_(self.fps_embedding, generator=generator)
        for layer in (self.time_proj, self.proj_out, *(block.cross_attention.to_out for block in self._layers())):
            nn.init.zeros_(layer.weight)
        for block in self._layers():
            padding_key = torch.randn(self.config.width, generator=generator)
            block.cross_attention.to_k.bias.copy_(0.01 * padding_key)
            block.cross_attention.to_q.bias.copy_(-padding_key)

    def cast(self, dtype: torch.dtype) -> "WanDiT":
        """Cast the weights in place, keeping in float32 what loses too much in a shorter format."""
        for name, parameter in self.named_parameters():
            parameter.data = parameter.data.to(kept_dtype(name, dtype))
        return self

    def _layers(self) -> list[Block]:
        return [module for module in self.blocks.modules() if isinstance(module, Block)]

    def _embed_levels(self, levels_R: Tensor) -> Tensor:
        waves = sinusoids(1000 * levels_R, self.config.freq_dim).to(self.time_embedder.linear_1.weight.dtype)
        return self.time_embedder(waves).to(self.time_proj.weight.dtype)

    def _modulate(self, time_RD: Tensor, fps: int | None) -> Tensor:
        """What the blocks' modulations have in common, (R,6D)."""
        assert (fps is not None) or not self.config.inject_sample_info, "this model is told its clips' frame rate"
        time_RM: Tensor = self.time_proj(F.silu(time_RD))
        if not self.config.inject_sample_info:
            return time_RM
        return time_RM + self.fps_projection(self.fps_embedding[0 if fps == SLOW_RATE else 1])

    def _prepare_runs(self, layout: PackLayout, text: TextKeys, device: torch.device) -> list[RunInputs]:
        assert len(text.lengths) == len(layout.grids), "one prompt for each clip"
        runs, first, dtype = [], 0, self.patch_embedding.weight.dtype
        for run in layout.runs:
            assert max(run.grid) <= self.config.rope_max_seq_len, run.grid
            turns = rotations(run.grid, self.config.attention_head_dim, device, dtype, run.references)
            slots_BS, slot_bias = text.slots(first, run.count)
            pictures_B = torch.tensor(text.pictures[first : first + run.count], device=device)
            attends: Attend | None = None
            if layout.causal_frames:
                assert not run.references, "reference pictures are in no block"
                attends = partial(attend_by_block, block=layout.causal_frames * run.grid.tokens_per_frame)
            runs.append(RunInputs((run.count, run.grid.tokens), turns, slots_BS, slot_bias, pictures_B, attends))
            first += run.count
        return runs


def _keys_of(layer: Attention, text_MD: Tensor, pictures_ISD: Tensor | None) -> LayerKeys:
    """What one layer's cross-attention looks at."""
    keys, values = layer.keys(layer.to_k(text_MD)[None])[0], layer.values(layer.to_v(text_MD))
    if pictures_ISD is None:
        return LayerKeys(keys, values)
    return LayerKeys(keys, values, layer.image_keys(pictures_ISD), layer.values(layer.image_to_v(pictures_ISD)))


def _normalise(norm: nn.Module, x_LD: Tensor) -> Tensor:
    """A norm whose weights may be kept wider than the stream that it normalises."""
    if isinstance(norm, nn.LayerNorm) and norm.weight.dtype != x_LD.dtype:
        return F.layer_norm(x_LD, norm.normalized_shape, norm.weight.to(x_LD.dtype), norm.bias.to(x_LD.dtype), norm.eps)
    return norm(x_LD)


def kept_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    """The dtype in which a parameter is kept when the model is cast to `dtype`."""
    kept = dtype.itemsize < 4 and any(part in KEPT_IN_FLOAT32 for part in name.split("."))
    return torch.float32 if kept else dtype


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form, as Wan has it.

    In bf16 on a CPU the exact form stands in: it is five times as fast, and the two differ by less than
    bf16 rounds (both are 56 dB from the tanh form in float64).
    """
    short_on_cpu = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return F.gelu(x, approximate="none" if short_on_cpu else "tanh")


def _split(x_LD: Tensor, runs: Sequence[RunInputs]) -> list[Tensor]:
    """The sequence as one batch (B,L,D) for each run; `split` rather than slices, for its cheaper gradient."""
    parts = [x_LD] if len(runs) == 1 else x_LD.split([prod(run.shape) for run in runs])
    return [part.unflatten(0, run.shape) for part, run in zip(parts, runs, strict=True)]


def _join(parts: Sequence[Tensor]) -> Tensor:
    """Heads (B,L,N,K) of each run, back as one sequence (L,D)."""
    rows = [part.flatten(2).flatten(0, 1) for part in parts]
    return rows[0] if len(rows) == 1 else torch.cat(rows)
