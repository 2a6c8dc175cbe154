"""RMS normalisation of queries and keys over all heads together, and their rotation, in one step.

Written out with its gradient because the parts one after the other, as autograd sees them, take three
times as long on a CPU and keep four float32 copies of the sequence alive. Worked in float32 at least,
whatever the input's dtype.

Legend: B clips, L tokens, N heads, K head width, J = K/2 complex pairs, D = N*K.
"""

from typing import Any

import torch
from torch import Tensor


def normalise_heads(
    x_BLD: Tensor, weight_D: Tensor, eps: float, num_heads: int, rotations_LJ: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    """x / rms(x) * weight * scale, and neighbouring pairs turned by `rotations_LJ` (L,1,J): (B,L,N,K).

    In memory the result lies head by head, as matrix products over heads want it.
    """
    wide = torch.promote_types(x_BLD.dtype, torch.float32)
    out: Tensor = _NormaliseHeads.apply(x_BLD, weight_D.to(wide) * scale, eps, num_heads, rotations_LJ)
    return out


class _NormaliseHeads(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_BLD: Tensor, weight_D: Tensor, eps: float, num_heads: int, rotations_LJ: Tensor | None
    ) -> Tensor:
        wide = weight_D.dtype
        squares_BL1 = torch.linalg.vector_norm(x_BLD, dim=-1, keepdim=True, dtype=wide).square_()
        scale_BL1 = squares_BL1.div_(x_BLD.shape[-1]).add_(eps).rsqrt_()
        y_BLD = _widen(x_BLD, wide).mul_(scale_BL1).mul_(weight_D)
        y_BLNK = y_BLD.unflatten(-1, (num_heads, -1))
        if rotations_LJ is not None:
            _pairs(y_BLNK).mul_(rotations_LJ)
        ctx.save_for_backward(x_BLD, weight_D, scale_BL1, rotations_LJ)
        return y_BLNK.transpose(1, 2).to(x_BLD.dtype, memory_format=torch.contiguous_format).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x_BLD, weight_D, scale_BL1, rotations_LJ = ctx.saved_tensors
        wide, width = weight_D.dtype, weight_D.shape[0]
        grad_BLNK = _widen(grads[0], wide)
        if rotations_LJ is not None:
            _pairs(grad_BLNK).mul_(rotations_LJ.conj())
        grad_BLD = grad_BLNK.flatten(2)
        unit_BLD = _widen(x_BLD, wide).mul_(scale_BL1)
        product_BLD = grad_BLD * unit_BLD
        grad_weight_D = product_BLD.flatten(0, 1).sum(0)
        along_BL1 = (product_BLD @ weight_D).div_(width).unsqueeze(-1)
        grad_x_BLD = grad_BLD.mul_(weight_D).sub_(unit_BLD.mul_(along_BL1)).mul_(scale_BL1)
        return grad_x_BLD.to(x_BLD.dtype), grad_weight_D, None, None, None


def _widen(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A contiguous copy that may be written to."""
    return x.to(dtype, copy=True, memory_format=torch.contiguous_format)


def _pairs(x_BLNK: Tensor) -> Tensor:
    """The same memory as complex numbers (B,L,N,J)."""
    return torch.view_as_complex(x_BLNK.unflatten(-1, (-1, 2)))
