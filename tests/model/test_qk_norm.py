"""The hand-written norm and rotation against the plain formula, and its gradient. About a second."""

import pytest
import torch
from torch import Tensor

from hibari.model.qk_norm import normalise_heads
from hibari.model.rope import rotations, split_head
from hibari.shapes import Grid

GRID, HEADS, WIDTH = Grid(2, 2, 3), 2, 14


def plain(x_BLD: Tensor, weight_D: Tensor, turns: Tensor | None) -> Tensor:
    y = torch.nn.functional.rms_norm(x_BLD, weight_D.shape, weight_D, 1e-6) * 0.5
    y_BLNK = y.unflatten(-1, (HEADS, -1))
    if turns is None:
        return y_BLNK
    a, b = y_BLNK.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * turns.real - b * turns.imag, a * turns.imag + b * turns.real], -1).flatten(3)


@pytest.mark.parametrize("turned", [True, False])
def test_value_and_gradient_equal_the_plain_formula(turned: bool) -> None:
    turns = rotations(GRID, WIDTH, torch.device("cpu"), torch.float64) if turned else None
    x = torch.randn(3, GRID.tokens, HEADS * WIDTH, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(HEADS * WIDTH, dtype=torch.float64, requires_grad=True)
    out, want = normalise_heads(x, weight, 1e-6, HEADS, turns, 0.5), plain(x, weight, turns)
    torch.testing.assert_close(out, want, rtol=0, atol=1e-12)
    grad = torch.randn_like(out)
    kept = grad.clone()
    got, expected = torch.autograd.grad(out, (x, weight), grad), torch.autograd.grad(want, (x, weight), grad)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    assert torch.equal(grad, kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_input_is_left_alone_and_the_dtype_kept(dtype: torch.dtype) -> None:
    x = torch.randn(1, GRID.tokens, HEADS * WIDTH, dtype=dtype)
    before = x.clone()
    out = normalise_heads(x, torch.ones(HEADS * WIDTH, dtype=dtype), 1e-6, HEADS)
    assert out.dtype == dtype and torch.equal(x, before)


def test_scores_of_turned_pairs_depend_on_distance_alone() -> None:
    turns = rotations(Grid(4, 4, 4), WIDTH, torch.device("cpu"), torch.float64).view(4, 4, 4, -1)
    moved = turns[1:, 1:, 1:] * turns[:-1, :-1, :-1].conj()
    assert torch.allclose(moved, moved[:1, :1, :1].expand_as(moved))


def test_reference_pictures_stand_apart_in_time_alone() -> None:
    near = rotations(Grid(3, 2, 2), WIDTH, torch.device("cpu"), torch.float32).view(3, 2, 2, -1)
    far = rotations(Grid(3, 2, 2), WIDTH, torch.device("cpu"), torch.float32, references=1).view(3, 2, 2, -1)
    time = split_head(WIDTH)[0] // 2
    assert torch.equal(near[:2], far[:2]) and torch.equal(near[..., time:], far[..., time:])
    assert not torch.allclose(near[2, ..., :time], far[2, ..., :time])
