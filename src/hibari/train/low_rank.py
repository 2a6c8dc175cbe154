"""Low-rank pairs beside the linear layers of a model that stays as it is: what a LoRA file is trained as.

A layer's output y = W x becomes y + B (A x), with A of `rank` rows. B starts at zero, so that training starts from the
model itself. Source: Hu et al. 2021, arXiv 2106.09685, with alpha equal to the rank. Writing the file is
`model/weights/lora.py`'s matter, and laying one on for generating `generate/loras.py`'s.
"""

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LowRank(nn.Module):
    """The trained pairs, and nothing of the model: its parameters are frozen, and its layers ask these by hooks.

    `left_out` are names of layers that stay bare. The pairs are made in float32; `cast` makes them shorter.
    """

    def __init__(self, model: nn.Module, rank: int, left_out: Collection[str] = ()) -> None:
        super().__init__()
        assert rank > 0, rank
        self.pairs = nn.ModuleDict()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear) and name not in left_out:
                pair = _Pair(layer, rank)
                self.pairs[name.replace(".", "/")] = pair  # a module's name has no dots
                layer.register_forward_hook(pair.add)

    def by_layer(self, values: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """A (rank, in) and B (out, rank) of each layer by its name in the model, out of `values` of our parameters."""
        names = {name: name.replace("/", ".") for name in self.pairs}
        return {ours: (values[f"pairs.{name}.down"], values[f"pairs.{name}.up"]) for name, ours in names.items()}


class _Pair(nn.Module):
    """A and B of one layer."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) * layer.in_features**-0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def add(self, _: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        """The layer's output with the pair's own on it."""
        low = F.linear(inputs[0].to(self.down.dtype), self.down)
        return output + F.linear(low, self.up).to(output.dtype)
