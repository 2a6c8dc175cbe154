"""Noise levels laid onto tokens: which row of scales, shifts and gates each token uses.

Legend: L tokens, D width, R rows (one for each latent frame of a pack, or for each distinct level),
F frames of a span, S tokens of a frame.
"""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from hibari.shapes import PackLayout

# The longest wave of the level embedding, as in Wan and in Vaswani et al. 2017.
MAX_PERIOD = 10000.0


@dataclass(frozen=True)
class TokenRows:
    """The row of each token: whole frames by `spans`, single tokens by `index_L`.

    A span (frames, tokens) says that the next `frames` rows each belong to the next tokens/frames
    tokens: such a row is broadcast, never copied out per token, which also makes its gradient cheap.
    """

    spans: tuple[tuple[int, int], ...]
    index_L: Tensor | None = None

    def index(self, device: torch.device) -> Tensor:
        """The row of each token, (L,)."""
        if self.index_L is not None:
            return self.index_L
        num_rows = sum(frames for frames, _ in self.spans)
        each = [tokens // frames for frames, tokens in self.spans for _ in range(frames)]
        return torch.arange(num_rows, device=device).repeat_interleave(torch.tensor(each, device=device))

    def scale_and_shift(self, x_LD: Tensor, scale_RD: Tensor, shift_RD: Tensor) -> Tensor:
        """x * (1 + scale) + shift, by the token's row, in the dtype of x."""
        return self._by_row(x_LD, (scale_RD + 1).to(x_LD.dtype), shift_RD.to(x_LD.dtype))

    def gate(self, x_LD: Tensor, gate_RD: Tensor) -> Tensor:
        """x * gate, by the token's row, in the dtype of x."""
        return self._by_row(x_LD, gate_RD.to(x_LD.dtype), None)

    def _by_row(self, x_LD: Tensor, factor_RD: Tensor, shift_RD: Tensor | None) -> Tensor:
        if self.index_L is not None:
            y_LD = x_LD * factor_RD.index_select(0, self.index_L)
            return y_LD if shift_RD is None else y_LD + shift_RD.index_select(0, self.index_L)
        if len(self.spans) == 1:
            return _by_frame(x_LD, factor_RD, shift_RD)
        frames, tokens = zip(*self.spans, strict=True)
        shifts = [None] * len(frames) if shift_RD is None else shift_RD.split(frames)
        return torch.cat([_by_frame(*p) for p in zip(x_LD.split(tokens), factor_RD.split(frames), shifts, strict=True)])


def lay_levels(levels: Tensor, layout: PackLayout) -> tuple[Tensor, TokenRows]:
    """Levels per latent frame of the pack, or per token, as distinct rows (R,) and the tokens that use them."""
    if len(levels) == layout.num_frames:
        return levels, TokenRows(_frame_spans(layout))
    assert len(levels) == layout.num_tokens, (len(levels), layout.num_frames, layout.num_tokens)
    # Few levels of tokens are distinct (known, and to be made): those are embedded, and tokens look them up.
    levels_R, index_L = levels.unique(return_inverse=True)
    return levels_R, TokenRows((), index_L)


def sinusoids(times_R: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of times at frequencies falling from 1 to 1/MAX_PERIOD: (R, width) in float32."""
    half = torch.arange(width // 2, dtype=torch.float32, device=times_R.device)
    angles = times_R[:, None].float() * torch.exp(-log(MAX_PERIOD) / (width // 2) * half)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _by_frame(x_LD: Tensor, factor_FD: Tensor, shift_FD: Tensor | None) -> Tensor:
    y_FSD = x_LD.unflatten(0, (len(factor_FD), -1)) * factor_FD[:, None]
    return (y_FSD if shift_FD is None else y_FSD.add_(shift_FD[:, None])).flatten(0, 1)


def _frame_spans(layout: PackLayout) -> tuple[tuple[int, int], ...]:
    """Frames and tokens of each stretch of a pack whose frames have equally many tokens."""
    spans: list[tuple[int, int]] = []
    for run in layout.runs:
        frames, tokens = run.count * run.grid.frames, run.stop - run.start
        if spans and spans[-1][1] * frames == spans[-1][0] * tokens:
            last = spans.pop()
            frames, tokens = last[0] + frames, last[1] + tokens
        spans.append((frames, tokens))
    return tuple(spans)
