"""Keys and values of prompts and of the pictures beside them, made once per prompt and used in every denoising step.

Wan pads every prompt with zeros to `text_len` states and lets attention see the padding. All padded
keys of a layer are equal, so one key with log(how many) added to its score gives the same result.

Legend: B clips of a run, M rows of a table, S slots that a clip attends to, N heads, K head width, I pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, log
from typing import NamedTuple

import torch
from torch import Tensor


class LayerKeys(NamedTuple):
    """What the cross-attention of one layer looks at: text (M,N,K), and pictures (I,S,N,K) where the form sees them."""

    keys: Tensor
    values: Tensor
    image_keys: Tensor | None = None
    image_values: Tensor | None = None


@dataclass(frozen=True)
class TextKeys:
    """Tables of keys and values for every layer, made by `WanDiT.encode_text`.

    Row 0 of each table stands for all the padding; the prompt of clip i is the `lengths[i]` rows from
    `starts[i]` on, and its picture is `pictures[i]`.
    """

    layers: tuple[LayerKeys, ...]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    pictures: tuple[int, ...]
    text_len: int

    def select(self, prompts: Sequence[int]) -> "TextKeys":
        """The same tables for clips that use these prompts, in this order; a prompt may repeat."""
        starts, lengths, pictures = (
            tuple(each[i] for i in prompts) for each in (self.starts, self.lengths, self.pictures)
        )
        return replace(self, starts=starts, lengths=lengths, pictures=pictures)

    def slots(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Table rows (B,S) that `count` clips from `first` on attend to, and the bias (B,1,1,S) of each.

        Slot 0 is the padding. Slots past the end of a shorter prompt weigh nothing.
        """
        clips = range(first, first + count)
        num_slots = 1 + max(self.lengths[i] for i in clips)
        rows, bias = [], []
        for i in clips:
            start, length = self.starts[i], self.lengths[i]
            padding, spare = self.text_len - length, num_slots - 1 - length
            rows.append([0, *range(start, start + length), *[0] * spare])
            bias.append([log(padding) if padding else -inf, *[0.0] * length, *[-inf] * spare])
        device, dtype = self.layers[0].keys.device, self.layers[0].keys.dtype
        return torch.tensor(rows, device=device), torch.tensor(bias, device=device, dtype=dtype)[:, None, None]
