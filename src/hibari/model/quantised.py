"""Weights of linear layers in a byte each: int8 or float8, with one scale for each output channel. Weights only.

What multiplies is the number type of the model: a layer's weights are widened when it is used. Sources: LLM.int8(),
arXiv 2208.07339 (scales by channel); FP8 formats, arXiv 2209.05433 (e4m3).

Legend: O numbers out, I numbers in.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["exact", "int8", "fp8"]
LARGEST = {"int8": 127.0, "fp8": 448.0}
NO_SCALE = torch.empty(0)


@dataclass(frozen=True, eq=False)
class Packed:
    """The weights of one layer: in bytes with their scales (O,1), or as they are."""

    kind: Kind
    weight_OI: Tensor
    scale_O1: Tensor = NO_SCALE

    @property
    def nbytes(self) -> int:
        return self.weight_OI.nbytes + self.scale_O1.nbytes

    def widened(self, dtype: torch.dtype) -> Tensor:
        """The weights (O,I) in a number type that multiplies."""
        if self.kind == "exact":
            return self.weight_OI.to(dtype)
        held = self.weight_OI if self.kind == "int8" else self.weight_OI.view(torch.float8_e4m3fn)
        return held.to(dtype).mul_(self.scale_O1.to(dtype))


def pack(weight_OI: Tensor, kind: Kind, dtype: torch.dtype) -> Packed:
    """Weights that are to be used in `dtype`, made small; "exact" rounds them to it and no further.

    float8 is kept as int8 of the same bits: what looks at a layer's number type is to know that it computes in another.
    """
    if kind == "exact":
        return Packed(kind, weight_OI.to(dtype))
    wide_OI = weight_OI.float()
    peak_O1 = wide_OI.abs().amax(dim=1, keepdim=True)
    scale_O1 = torch.where(peak_O1 > 0, peak_O1 / LARGEST[kind], 1.0)
    # The scale as it will be multiplied with, so that its own rounding costs nothing.
    scale_O1 = torch.maximum(scale_O1, torch.full_like(scale_O1, torch.finfo(dtype).tiny)).to(dtype)
    wide_OI = (wide_OI / scale_O1.float()).clamp_(-LARGEST[kind], LARGEST[kind])
    if kind == "int8":
        return Packed(kind, wide_OI.round_().to(torch.int8), scale_O1)
    return Packed(kind, wide_OI.to(torch.float8_e4m3fn).view(torch.int8), scale_O1)
