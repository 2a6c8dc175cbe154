"""A cache of latents and text states on disk, and the records drawn from it.

One safetensors file holds one part: clips of one latent grid, in order. `latents` (n, C, T, H, W),
`references` (n, C, 1, H, W), a picture of the same object elsewhere, or nothing; `text` (tokens, D)
with `text_offsets` (n * captions + 1,): the states of each clip's captions one after the other.
The captions themselves and the labels stand in the JSON file beside it, for people and for judges.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hibari.errors import TrainingError
from hibari.shapes import Grid


@dataclass(frozen=True)
class LatentPart:
    """Clips of one grid: their latents, references and text states, as the file holds them."""

    latents: Tensor
    references: Tensor | None
    text: Tensor
    text_offsets: Tensor
    labels: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def grid(self) -> Grid:
        return Grid(*self.latents.shape[2:])

    @property
    def captions_each(self) -> int:
        return (len(self.text_offsets) - 1) // len(self.latents)

    def states(self, clip: int, caption: int) -> Tensor:
        """The text states of one caption of a clip: (tokens, D)."""
        i = clip * self.captions_each + caption
        return self.text[int(self.text_offsets[i]) : int(self.text_offsets[i + 1])]


def save_part(
    path: Path,
    latents: Tensor,
    references: Tensor | None,
    states: Sequence[Tensor],
    labels: list[dict[str, Any]],
) -> None:
    """Write one part; `states` holds the text states of all captions, clip by clip."""
    assert len(labels) == len(latents) and len(states) % len(latents) == 0
    offsets = torch.tensor([0] + [len(s) for s in states]).cumsum(0)
    tensors = {"latents": latents.to(torch.bfloat16).contiguous(), "text": torch.cat(list(states)).half()}
    tensors["text_offsets"] = offsets
    if references is not None:
        tensors["references"] = references.to(torch.bfloat16).contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(labels))
    fresh = path.with_suffix(".new")
    save_file(tensors, fresh)
    fresh.rename(path)


def load_parts(folder: Path) -> list[LatentPart]:
    """All parts of a cache, in the order of their names; TrainingError where there are none."""
    parts = []
    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        labels = json.loads(path.with_suffix(".json").read_text())
        parts.append(
            LatentPart(tensors["latents"], tensors.get("references"), tensors["text"], tensors["text_offsets"], labels)
        )
    if not parts:
        raise TrainingError(f"{folder} holds no cached latents.", hint="Build them with the recipe's cache stage.")
    return parts
