"""Attention behind one call, with backends.

`sdpa` is torch's fused kernel. `chunked` is plain matrix products and a softmax over slices of the
queries: on CPUs with fast bf16 matrix units it runs at three to five times the rate of the fused
kernel, because that kernel does not use those units well.

Legend: B clips, L queries, M keys, N heads, K head width.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Backend = Literal["auto", "sdpa", "chunked"]

# Queries at a time: scores of 512 x a few thousand keys still live in a core's cache.
CHUNK = 512


def attend(
    q_BLNK: Tensor,
    k_BMNK: Tensor,
    v_BMNK: Tensor,
    bias: Tensor | None = None,
    backend: Backend = "auto",
    scale: float | None = None,
) -> Tensor:
    """Softmax attention (B,L,N,K).

    `bias`, broadcast over (B,N,L,M), is added to the scores; `scale` multiplies them, K**-0.5 if None.
    """
    if backend == "auto":
        backend = "chunked" if q_BLNK.device.type == "cpu" else "sdpa"
    if bias is not None:
        bias = bias.to(q_BLNK.dtype)
    q_BNLK, k_BNMK, v_BNMK = (x.transpose(1, 2) for x in (q_BLNK, k_BMNK, v_BMNK))
    if backend == "sdpa":
        out_BNLK = F.scaled_dot_product_attention(q_BNLK, k_BNMK, v_BNMK, attn_mask=bias, scale=scale)
    else:
        scale = q_BLNK.shape[-1] ** -0.5 if scale is None else scale
        out_BNLK = _chunked(q_BNLK, k_BNMK if scale == 1.0 else k_BNMK * scale, v_BNMK, bias)
    return out_BNLK.transpose(1, 2)


def _chunked(q_BNLK: Tensor, k_BNMK: Tensor, v_BNMK: Tensor, bias: Tensor | None) -> Tensor:
    k_BNKM = k_BNMK.transpose(2, 3)
    parts = []
    for start in range(0, q_BNLK.shape[2], CHUNK):
        q_part = q_BNLK if q_BNLK.shape[2] <= CHUNK else q_BNLK[:, :, start : start + CHUNK]
        scores_BNLM = q_part @ k_BNKM
        if bias is not None:
            scores_BNLM += bias if bias.shape[2] == 1 else bias[:, :, start : start + CHUNK]
        parts.append(scores_BNLM.softmax(-1) @ v_BNMK)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
