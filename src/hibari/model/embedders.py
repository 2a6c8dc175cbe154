"""The small networks through which noise levels, text and pictures enter the transformer.

Legend: I pictures, S states of a picture, E numbers in one of them, D width.
"""

import torch
from torch import Tensor, nn


class Embedder(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width_in: int, width: int, width_out: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width_in, width)
        self.activation = activation
        self.linear_2 = nn.Linear(width, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(self.activation(self.linear_1(x)))


class ImageEmbedder(nn.Module):
    """States of pictures (I,S,E) as cross-attention takes them, (I,S,D)."""

    def __init__(self, image_dim: int, width: int, num_positions: int | None) -> None:
        super().__init__()
        self.positions = None if num_positions is None else nn.Parameter(torch.empty(1, num_positions, image_dim))
        self.norm_in = nn.LayerNorm(image_dim)
        self.embedder = Embedder(image_dim, image_dim, width, nn.GELU())
        self.norm_out = nn.LayerNorm(width)

    def forward(self, states_ISE: Tensor) -> Tensor:
        if self.positions is not None:
            assert states_ISE.shape[1:] == self.positions.shape[1:], "this form looks at pairs of pictures"
            states_ISE = states_ISE + self.positions
        return self.norm_out(self.embedder(self.norm_in(states_ISE)))
