"""Walks of a sampler on disk: where each stood at a few levels, and the mean velocity from there to the next of them.

One safetensors file holds one part: walks over one latent grid with one schedule. `states` and `velocities` are
(n, K, C, T, H, W) bf16 for the K stretches between the `levels` (K + 1,); `known` (n, T) says which latent frames were
known, so that their velocity is 0; the last `beside` frames of each are reference pictures. `text` and `text_offsets`
are as in `data.latents`, with one caption a walk. What a caption says is not kept: nobody judges by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hibari.errors import TrainingError
from hibari.shapes import Grid


@dataclass(frozen=True, kw_only=True)
class TrajectoryPart:
    """Walks over one grid, as the file holds them."""

    states: Tensor
    velocities: Tensor
    levels: Tensor
    known: Tensor
    text: Tensor
    text_offsets: Tensor
    beside: int = 0
    references: None = None  # those that were looked at are frames of the states already
    captions_each: int = 1

    def __len__(self) -> int:
        return len(self.states)

    @property
    def grid(self) -> Grid:
        return Grid(*self.states.shape[3:])

    @property
    def stretches(self) -> int:
        return self.states.shape[1]

    def prompt(self, walk: int) -> Tensor:
        """The text states of a walk: (tokens, D)."""
        return self.text[int(self.text_offsets[walk]) : int(self.text_offsets[walk + 1])]

    def end(self, walk: int) -> Tensor:
        """Where the last stretch leads: (C, T, H, W), fp32."""
        step = float(self.levels[-2] - self.levels[-1])
        return self.states[walk, -1].float() - step * self.velocities[walk, -1].float()


_TENSORS = ("states", "velocities", "levels", "known", "text", "text_offsets")


def save_trajectories(path: Path, part: TrajectoryPart) -> None:
    """Write a part whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    tensors = {name: getattr(part, name).contiguous() for name in _TENSORS}
    save_file(tensors | {"beside": torch.tensor(part.beside)}, fresh)
    fresh.rename(path)


def joined(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Text states one after the other, fp16, and where each begins."""
    return torch.cat(list(states)).half(), torch.tensor([0] + [len(each) for each in states]).cumsum(0)


def load_trajectories(folder: Path) -> list[TrajectoryPart]:
    """All parts of a folder, in the order of their names; tensors stay in the mapped files. TrainingError for none."""
    parts = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in _TENSORS}
                parts.append(TrajectoryPart(**tensors, beside=int(file.get_tensor("beside"))))
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"{path}: no whole part of walks ({error}).", hint="Delete it; it is made again."
            ) from error
    if not parts:
        raise TrainingError(f"{folder} holds no walks.", hint="Make them with the recipe's walks stage.")
    return parts
