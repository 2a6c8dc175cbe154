"""Attention backends agree, forward and backward. About 2 seconds."""

import pytest
import torch
from torch import Tensor

from hibari.model import attention
from hibari.model.attention import Backend, attend


def tensors(queries: int, keys: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, queries, 3, 16), (2, keys, 3, 16), (2, keys, 3, 16)]
    return [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]


def plain(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    scores = torch.einsum("blnk,bmnk->bnlm", q, k) / 4
    weights = (scores if bias is None else scores + bias).softmax(-1)
    return torch.einsum("bnlm,bmnk->blnk", weights, v)


@pytest.mark.parametrize(("backend", "block"), [("sdpa", 1), ("chunked", 600), ("chunked", 12000), ("auto", 1 << 20)])
@pytest.mark.parametrize(
    ("queries", "keys", "bias_shape"), [(7, 7, None), (70, 70, (1, 1, 70, 70)), (70, 9, (2, 1, 1, 9))]
)
def test_backends_equal_the_formula_and_its_gradient(
    backend: Backend,
    block: int,
    queries: int,
    keys: int,
    bias_shape: tuple[int, ...] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "BLOCK", block)
    qkv = tensors(queries, keys)
    bias = None if bias_shape is None else torch.randn(bias_shape, dtype=torch.float64)
    if bias is not None:
        bias[..., 1::3] = -torch.inf
    out, want = attend(*qkv, bias, backend), plain(*qkv, bias)
    torch.testing.assert_close(out, want, rtol=0, atol=1e-12)
    grad = torch.randn_like(want)
    for got, expected in zip(torch.autograd.grad(out, qkv, grad), torch.autograd.grad(want, qkv, grad), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_backends_agree_in_bf16() -> None:
    qkv = tensors(600, 600, torch.bfloat16)
    out, want = attend(*qkv, backend="chunked").float(), attend(*[x.double() for x in qkv], backend="sdpa")
    assert (out - want).square().mean() < 1e-4 * want.square().mean()


def test_the_scale_of_the_scores_can_be_given() -> None:
    q, k, v = tensors(5, 6)
    for backend in ("sdpa", "chunked"):
        torch.testing.assert_close(attend(q * 0.25, k, v, None, backend, 1.0), attend(q, k, v, None, backend))
