"""Attention behind one call, with backends.

`sdpa` is torch's fused kernel. `chunked` is plain matrix products and a softmax over blocks of scores
that stay in the cache: in bf16 on CPUs with units for it, it runs at two to five times the rate of the
fused kernel, which does not use those units well. In float32 the fused kernel is as fast or faster.

Legend: B clips, L queries, M keys, N heads, K head width, G = pairs of clip and head in a block.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Backend = Literal["auto", "sdpa", "chunked"]
Block = tuple[slice, slice, slice]
Attend = Callable[..., Tensor]
"""What `attend` is: queries, keys and values (B,L,N,K), and a `scale`, to (B,L,N,K)."""

# Scores worked on at a time: 1 MB in bf16, what a core holds in its own cache (docs/journal.md).
BLOCK = 1 << 19


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
        backend = "chunked" if q_BLNK.device.type == "cpu" and q_BLNK.dtype == torch.bfloat16 else "sdpa"
    if bias is not None:
        bias = bias.to(q_BLNK.dtype)
    q_BNLK, k_BNMK, v_BNMK = (x.transpose(1, 2) for x in (q_BLNK, k_BMNK, v_BMNK))
    if backend == "sdpa":
        return F.scaled_dot_product_attention(q_BNLK, k_BNMK, v_BNMK, attn_mask=bias, scale=scale).transpose(1, 2)
    scale = q_BLNK.shape[-1] ** -0.5 if scale is None else scale
    k_BNMK = k_BNMK if scale == 1.0 else k_BNMK * scale
    out_BNLK: Tensor = _Chunked.apply(q_BNLK, k_BNMK, v_BNMK, bias, torch.is_grad_enabled())
    return out_BNLK.transpose(1, 2)


def attend_in_part(q_BLNK: Tensor, k_BMNK: Tensor, v_BMNK: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention to some of the keys: its outcome (B,L,N,K) in float32, and the log of the sum of weights (B,L,N,1).

    Outcomes over parts of the keys are merged by these sums (Milakov and Gimelshein 2018, arXiv 1805.02867).
    """
    q_BNLK, k_BNMK, v_BNMK = (x.transpose(1, 2).contiguous() for x in (q_BLNK, k_BMNK, v_BMNK))
    out_BNLK = torch.empty_like(q_BNLK, dtype=torch.float32)
    sums_BNL1 = out_BNLK.new_empty(*q_BNLK.shape[:3], 1)
    for clips, heads, queries in _blocks(q_BNLK, k_BNMK.shape[2]):
        scores = (q_BNLK[clips, heads, queries] * scale @ k_BNMK[clips, heads].transpose(2, 3)).float()
        sums = scores.logsumexp(-1, keepdim=True)
        weights = scores.sub_(sums).exp_().to(v_BNMK.dtype)
        out_BNLK[clips, heads, queries] = (weights @ v_BNMK[clips, heads]).float()
        sums_BNL1[clips, heads, queries] = sums
    return out_BNLK.transpose(1, 2), sums_BNL1.transpose(1, 2)


def attend_by_block(q_BLNK: Tensor, k_BLNK: Tensor, v_BLNK: Tensor, block: int, scale: float | None = None) -> Tensor:
    """Self-attention (B,L,N,K) in which tokens see those up to the end of their own block of `block` tokens.

    One block of queries after the other, each with a longer part of the keys: no mask of L x L is ever made.
    """
    starts = range(0, q_BLNK.shape[1], block)
    ends = ((start, min(start + block, q_BLNK.shape[1])) for start in starts)
    return torch.cat([attend(q_BLNK[:, a:b], k_BLNK[:, :b], v_BLNK[:, :b], scale=scale) for a, b in ends], dim=1)


class _Chunked(torch.autograd.Function):
    """softmax(q k^T + bias) v, block by block. The bias gets no gradient."""

    @staticmethod
    def forward(ctx: Any, q_BNLK: Tensor, k_BNMK: Tensor, v_BNMK: Tensor, bias: Tensor | None, keep: bool) -> Tensor:
        q_BNLK, k_BNMK, v_BNMK = (x.contiguous() for x in (q_BNLK, k_BNMK, v_BNMK))
        out_BNLK = torch.empty_like(q_BNLK)
        kept = []
        for clips, heads, queries in _blocks(q_BNLK, k_BNMK.shape[2]):
            k_GMK, v_GMK = k_BNMK[clips, heads].flatten(0, 1), v_BNMK[clips, heads].flatten(0, 1)
            weights_GLM = torch.bmm(q_BNLK[clips, heads, queries].flatten(0, 1), k_GMK.transpose(1, 2))
            if bias is not None:
                scores = weights_GLM.unflatten(0, (-1, heads.stop - heads.start))
                scores += _part(bias, clips, heads, queries)
            weights_GLM = weights_GLM.softmax(-1)
            torch.bmm(weights_GLM, v_GMK, out=out_BNLK[clips, heads, queries].flatten(0, 1))
            if keep:
                kept.append(weights_GLM)
        ctx.save_for_backward(q_BNLK, k_BNMK, v_BNMK, *kept)
        return out_BNLK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q_BNLK, k_BNMK, v_BNMK, *kept = ctx.saved_tensors
        grad_BNLK = grads[0].contiguous()
        grad_q, grad_k, grad_v = torch.empty_like(q_BNLK), torch.zeros_like(k_BNMK), torch.zeros_like(v_BNMK)
        for (clips, heads, queries), weights_GLM in zip(_blocks(q_BNLK, k_BNMK.shape[2]), kept, strict=True):
            q_GLK, out_GLK = (x[clips, heads, queries].flatten(0, 1) for x in (q_BNLK, grad_BNLK))
            k_GMK, v_GMK = (x[clips, heads].flatten(0, 1) for x in (k_BNMK, v_BNMK))
            grad_v[clips, heads].flatten(0, 1).baddbmm_(weights_GLM.transpose(1, 2), out_GLK)
            grad_GLM = torch.bmm(out_GLK, v_GMK.transpose(1, 2))
            grad_GLM = torch.ops.aten._softmax_backward_data(grad_GLM, weights_GLM, -1, weights_GLM.dtype)
            torch.bmm(grad_GLM, k_GMK, out=grad_q[clips, heads, queries].flatten(0, 1))
            grad_k[clips, heads].flatten(0, 1).baddbmm_(grad_GLM.transpose(1, 2), q_GLK)
        return grad_q, grad_k, grad_v, None, None


def _blocks(q_BNLK: Tensor, num_keys: int) -> Iterator[Block]:
    """Slices of clips, heads and queries with about BLOCK scores each: several clips, or heads of one, or queries."""
    num_clips, num_heads, num_queries, _ = q_BNLK.shape
    queries = min(num_queries, max(1, BLOCK // num_keys))
    heads = min(num_heads, max(1, BLOCK // (num_queries * num_keys)))
    clips = max(1, BLOCK // (num_heads * num_queries * num_keys))
    for clip in range(0, num_clips, clips):
        for head in range(0, num_heads, heads):
            for query in range(0, num_queries, queries):
                yield (
                    slice(clip, min(clip + clips, num_clips)),
                    slice(head, min(head + heads, num_heads)),
                    slice(query, min(query + queries, num_queries)),
                )


def _part(bias: Tensor, *block: slice) -> Tensor:
    """The bias of a block; axes of one are shared by all."""
    return bias[tuple(slice(None) if size == 1 else part for size, part in zip(bias.shape, block, strict=False))]
