"""The diffusion transformer of Wan 2.1 and 2.2, text-to-video form, over packed clips.

One sequence holds the tokens of clips of different sizes. Linear layers see the whole sequence;
attention sees each run of equal clips as a batch. Every latent frame, or every token, has its own
noise level. Numerics follow diffusers' WanTransformer3DModel; the published image-to-video form of
Wan 2.1 adds image keys to the cross-attention, which would enter here through `TextKeys`.

Legend: B clips of a run, L tokens, P numbers in a patch, D width, N heads, K head width,
R rows of noise levels (latent frames of the pack, or distinct levels), M text rows, S text slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hibari.model.attention import attend
from hibari.model.rope import rotate, rotations
from hibari.shapes import PackLayout

# These stay in float32 when the model is cast down, as diffusers keeps them.
KEPT_IN_FLOAT32 = ("time_embedder", "modulation", "norm2")


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """The form of a WanDiT; field names are those of a published config.json."""

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

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim


@dataclass(frozen=True)
class TextKeys:
    """Keys and values of prompts for every layer, made once by `WanDiT.encode_text`.

    Row 0 of each table (M,N,K) stands for all the zero padding of a prompt; the rows of prompt i
    follow those of prompt i-1. `lengths` counts the rows of each prompt without padding.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    text_len: int

    def select(self, prompts: Sequence[int]) -> "TextKeys":
        """The same tables for clips that use these prompts, in this order; a prompt may repeat."""
        starts = tuple(self.starts[i] for i in prompts)
        return TextKeys(self.keys, self.values, starts, tuple(self.lengths[i] for i in prompts), self.text_len)

    def slots(self, first: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Table rows (B,S) that `count` clips from `first` on attend to, and the bias (B,1,1,S) of each.

        Slot 0 is the padding: text_len - n equal keys weigh as one key with log(text_len - n) added to
        its score. Slots past the end of a shorter prompt weigh nothing.
        """
        clips = range(first, first + count)
        num_slots = 1 + max(self.lengths[i] for i in clips)
        rows = [
            [0, *range(self.starts[i], self.starts[i] + self.lengths[i])] + [0] * (num_slots - 1 - self.lengths[i])
            for i in clips
        ]
        none = float("-inf")
        bias = []
        for i in clips:
            padding = self.text_len - self.lengths[i]
            tail = [none] * (num_slots - 1 - self.lengths[i])
            bias.append([log(padding) if padding else none, *[0.0] * self.lengths[i], *tail])
        return torch.tensor(rows, device=device), torch.tensor(bias, device=device)[:, None, None]


@dataclass(frozen=True)
class RunInputs:
    """What one run of equal clips needs in every layer."""

    count: int
    start: int
    stop: int
    rotations_LJ: Tensor
    slots_BS: Tensor
    slot_bias: Tensor


@dataclass(frozen=True)
class TokenRows:
    """Which row of modulation each token uses: whole frames by `spans`, single tokens by `index_L`.

    A span (start, stop, first, last) says that tokens start to stop are the frames of rows first to last,
    equally many tokens each, so that a row is broadcast and never copied out per token.
    """

    spans: tuple[tuple[int, int, int, int], ...]
    index_L: Tensor | None = None

    def scale_and_shift(self, x_LD: Tensor, scale_RD: Tensor, shift_RD: Tensor) -> Tensor:
        """x * (1 + scale) + shift, by the token's row."""
        return self._blend(shift_RD, x_LD, scale_RD + 1)

    def add_gated(self, x_LD: Tensor, y_LD: Tensor, gate_RD: Tensor) -> Tensor:
        """x + y * gate, by the token's row."""
        return self._blend(x_LD, y_LD, gate_RD)

    def _blend(self, base: Tensor, y_LD: Tensor, factor_RD: Tensor) -> Tensor:
        """base + y * factor, where base is per token or per row."""
        factor_RD = factor_RD.to(y_LD.dtype)
        by_row = base.shape[0] == factor_RD.shape[0] and base.shape[0] != y_LD.shape[0]
        if self.index_L is not None:
            if by_row:
                base = base.to(y_LD.dtype).index_select(0, self.index_L)
            return torch.addcmul(base, y_LD, factor_RD.index_select(0, self.index_L))
        parts = []
        for start, stop, first, last in self.spans:
            shape = (last - first, (stop - start) // (last - first), y_LD.shape[1])
            part = base[first:last, None].to(y_LD.dtype) if by_row else base[start:stop].view(shape)
            parts.append(torch.addcmul(part, y_LD[start:stop].view(shape), factor_RD[first:last, None]).flatten(0, 1))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def frame_spans(layout: PackLayout) -> tuple[tuple[int, int, int, int], ...]:
    """The spans of a pack, neighbouring runs joined where their frames have equally many tokens."""
    spans: list[tuple[int, int, int, int]] = []
    frame, last_size = 0, 0
    for run in layout.runs:
        frames = run.count * run.grid.frames
        if spans and run.grid.tokens_per_frame == last_size:
            start, _, first, _ = spans.pop()
            spans.append((start, run.stop, first, frame + frames))
        else:
            spans.append((run.start, run.stop, frame, frame + frames))
        frame, last_size = frame + frames, run.grid.tokens_per_frame
    return tuple(spans)


class Embedder(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width_in: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width_in, width)
        self.activation = activation
        self.linear_2 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(self.activation(self.linear_1(x)))


class Attention(nn.Module):
    """Projections of one attention layer; queries and keys are RMS-normalised over all heads together."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.width
        self.head_shape = (config.num_attention_heads, config.attention_head_dim)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.Linear(width, width)
        self.norm_q = nn.RMSNorm(width, eps=config.eps)
        self.norm_k = nn.RMSNorm(width, eps=config.eps)

    def queries(self, x_LD: Tensor) -> Tensor:
        return self.norm_q(self.to_q(x_LD)).unflatten(-1, self.head_shape)

    def keys_values(self, x_LD: Tensor) -> tuple[Tensor, Tensor]:
        keys_LNK = self.norm_k(self.to_k(x_LD)).unflatten(-1, self.head_shape)
        return keys_LNK, self.to_v(x_LD).unflatten(-1, self.head_shape)


class Block(nn.Module):
    """Self-attention, cross-attention to text, and a feed-forward layer, modulated by the noise level."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.self_attention = Attention(config)
        self.norm2 = nn.LayerNorm(width, config.eps) if config.cross_attn_norm else nn.Identity()
        self.cross_attention = Attention(config)
        self.norm3 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.ffn_in = nn.Linear(width, config.ffn_dim)
        self.ffn_out = nn.Linear(config.ffn_dim, width)
        self.modulation = nn.Parameter(torch.empty(1, 6, width))

    def forward(
        self, x_LD: Tensor, time_R6D: Tensor, rows: TokenRows, runs: Sequence[RunInputs], text: tuple[Tensor, Tensor]
    ) -> Tensor:
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (self.modulation + time_R6D).unbind(1)

        y_LD = rows.scale_and_shift(self.norm1(x_LD), scale, shift)
        x_LD = rows.add_gated(x_LD, self._self_attend(y_LD, runs), gate)

        y_LD = _normalise(self.norm2, x_LD)
        x_LD = x_LD + self._cross_attend(y_LD, runs, text)

        y_LD = rows.scale_and_shift(self.norm3(x_LD), ffn_scale, ffn_shift)
        y_LD = self.ffn_out(F.gelu(self.ffn_in(y_LD), approximate="tanh"))
        return rows.add_gated(x_LD, y_LD, ffn_gate)

    def _self_attend(self, y_LD: Tensor, runs: Sequence[RunInputs]) -> Tensor:
        q_LNK = self.self_attention.queries(y_LD)
        k_LNK, v_LNK = self.self_attention.keys_values(y_LD)
        parts = []
        for run in runs:
            q_BLNK, k_BLNK, v_BLNK = (
                x[run.start : run.stop].unflatten(0, (run.count, -1)) for x in (q_LNK, k_LNK, v_LNK)
            )
            out = attend(rotate(q_BLNK, run.rotations_LJ), rotate(k_BLNK, run.rotations_LJ), v_BLNK)
            parts.append(out.reshape(-1, y_LD.shape[1]))
        return self.self_attention.to_out(parts[0] if len(parts) == 1 else torch.cat(parts))

    def _cross_attend(self, y_LD: Tensor, runs: Sequence[RunInputs], text: tuple[Tensor, Tensor]) -> Tensor:
        q_LNK = self.cross_attention.queries(y_LD)
        parts = []
        for run in runs:
            q_BLNK = q_LNK[run.start : run.stop].unflatten(0, (run.count, -1))
            k_BSNK, v_BSNK = (table_MNK[run.slots_BS] for table_MNK in text)
            parts.append(attend(q_BLNK, k_BSNK, v_BSNK, run.slot_bias).reshape(-1, y_LD.shape[1]))
        return self.cross_attention.to_out(parts[0] if len(parts) == 1 else torch.cat(parts))


class WanDiT(nn.Module):
    """Predicts the velocity (noise - clean) of packed latents at their noise levels, told by text."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Linear(config.in_channels * prod(config.patch_size), width)
        self.time_embedder = Embedder(config.freq_dim, width, nn.SiLU())
        self.time_proj = nn.Linear(width, 6 * width)
        self.text_embedder = Embedder(config.text_dim, width, nn.GELU(approximate="tanh"))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm_out = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.proj_out = nn.Linear(width, config.out_channels * prod(config.patch_size))
        self.modulation = nn.Parameter(torch.empty(1, 2, width))

    def forward(self, patches_LP: Tensor, layout: PackLayout, levels: Tensor, text: TextKeys) -> Tensor:
        """Velocities (L,P) of a pack.

        patches_LP: the noisy patches, as `packing.pack` lays them. levels: noise levels from 0 (known) to
        1 (noise), one for each latent frame of the pack, or one for each token. text: one prompt for each
        clip. The answer has the dtype of `patches_LP`.
        """
        time_RD, rows = self._embed_levels(levels, layout)
        time_R6D = self.time_proj(F.silu(time_RD)).unflatten(1, (6, -1)).to(self.modulation.dtype)
        runs = self._prepare_runs(layout, text, patches_LP.device)

        x_LD = self.patch_embedding(patches_LP.to(self.patch_embedding.weight.dtype))
        for block, keys, values in zip(self.blocks, text.keys, text.values, strict=True):
            x_LD = block(x_LD, time_R6D, rows, runs, (keys, values))

        shift, scale = (self.modulation + time_RD[:, None]).unbind(1)
        x_LD = rows.scale_and_shift(self.norm_out(x_LD), scale, shift)
        return self.proj_out(x_LD).to(patches_LP.dtype)

    def encode_text(self, texts: Sequence[Tensor]) -> TextKeys:
        """Keys and values of every layer for prompts given as token states (n_i, text_dim), 0 <= n_i <= text_len."""
        lengths = tuple(len(text) for text in texts)
        assert max(lengths) <= self.config.text_len, f"{max(lengths)} text tokens, at most {self.config.text_len}"
        weight = self.text_embedder.linear_1.weight
        padding = weight.new_zeros(1, self.config.text_dim)
        states_MD = self.text_embedder(torch.cat([padding, *(text.to(weight) for text in texts)]))
        pairs = [block.cross_attention.keys_values(states_MD) for block in self._layers()]
        starts = tuple(1 + sum(lengths[:i]) for i in range(len(lengths)))
        return TextKeys(tuple(k for k, _ in pairs), tuple(v for _, v in pairs), starts, lengths, self.config.text_len)

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Fill the weights for training from scratch: gates and the last layer are zero (Peebles & Xie 2023)."""
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
        for layer in (self.time_proj, self.proj_out, *(block.cross_attention.to_out for block in self._layers())):
            nn.init.zeros_(layer.weight)

    def cast(self, dtype: torch.dtype) -> "WanDiT":
        """Cast the weights in place, keeping in float32 what loses too much in a shorter format."""
        for name, parameter in self.named_parameters():
            kept = dtype.itemsize < 4 and any(part in KEPT_IN_FLOAT32 for part in name.split("."))
            parameter.data = parameter.data.to(torch.float32 if kept else dtype)
        return self

    def _layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _embed_levels(self, levels: Tensor, layout: PackLayout) -> tuple[Tensor, TokenRows]:
        """The time embedding of each row of levels, and which token uses which row."""
        if len(levels) == layout.num_frames:
            rows = TokenRows(frame_spans(layout))
        else:
            assert len(levels) == layout.num_tokens, (len(levels), layout.num_frames, layout.num_tokens)
            # Few levels are distinct (known, and to be made): embed those, and let tokens look them up.
            levels, index_L = levels.unique(return_inverse=True)
            rows = TokenRows((), index_L)
        weight = self.time_embedder.linear_1.weight
        waves = sinusoids(1000 * levels, self.config.freq_dim).to(weight.dtype)
        return self.time_embedder(waves).to(self.time_proj.weight.dtype), rows

    def _prepare_runs(self, layout: PackLayout, text: TextKeys, device: torch.device) -> list[RunInputs]:
        assert len(text.lengths) == len(layout.grids), "one prompt for each clip"
        runs, first, dtype = [], 0, self.patch_embedding.weight.dtype
        for run in layout.runs:
            turns = rotations(run.grid, self.config.attention_head_dim, device, dtype, run.references)
            slots_BS, slot_bias = text.slots(first, run.count, device)
            runs.append(RunInputs(run.count, run.start, run.stop, turns, slots_BS, slot_bias))
            first += run.count
        return runs


def sinusoids(times_R: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of times at frequencies falling from 1 to 1/10000: (R, width)."""
    half = torch.arange(width // 2, dtype=torch.float32, device=times_R.device)
    angles = times_R[:, None].float() * torch.exp(-log(10000.0) / (width // 2) * half)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _normalise(norm: nn.Module, x_LD: Tensor) -> Tensor:
    """A norm whose weights may be kept wider than the stream that it normalises."""
    if isinstance(norm, nn.LayerNorm) and norm.weight.dtype != x_LD.dtype:
        return F.layer_norm(x_LD, norm.normalized_shape, norm.weight.to(x_LD.dtype), norm.bias.to(x_LD.dtype), norm.eps)
    return norm(x_LD)
