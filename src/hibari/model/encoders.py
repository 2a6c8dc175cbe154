"""What makes states of prompts and of pictures for the transformer: two Protocols, and which encoder a folder has.

No encoder is trained here. Prompts end up as their real tokens' states alone; how Wan pads them is `text_keys.py`'s.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hibari.errors import BadWeights
from hibari.model.quantised import Kind
from hibari.model.text import MiniLMTextEncoder


class TextEncoder(Protocol):
    """Prompts to token states."""

    def encode(self, prompts: Sequence[str], *, option: str = "prompt") -> list[Tensor]:
        """States (n,D) of each prompt; raises InvalidRequest that names `option` for one that it cannot read."""


class ImageEncoder(Protocol):
    """Pictures to states."""

    def encode(self, frames: Sequence[np.ndarray]) -> Tensor:
        """States (1,S,E) of pictures, one after the other; frames are uint8 (height, width, 3)."""


def load_text_encoder(
    place: Path, tokenizer: Path, device: torch.device | str, dtype: torch.dtype, storage: Kind = "exact"
) -> TextEncoder:
    """The text encoder that lies there (a folder, or a file of an original checkpoint), with a tokenizer's folder.

    `dtype` is the transformer's. Raises BadWeights or MissingDependency.
    `storage` says how a UMT5 keeps its linear layers; a small encoder stays as it is.
    """
    kind = "umt5" if place.is_file() else _kind(place / "config.json")
    if kind == "bert":
        return MiniLMTextEncoder.load(place.parent, device=device)
    if kind == "umt5":
        from hibari.model.umt5 import UMT5TextEncoder

        # float16 is too narrow for the sums inside a T5.
        wide = torch.float32 if dtype == torch.float32 else torch.bfloat16
        return UMT5TextEncoder.load(place, tokenizer, device=device, dtype=wide, storage=storage)
    raise BadWeights(f"{place}: a {kind} is no text encoder of a model that Hibari runs.")


def _kind(path: Path) -> str:
    """The model that a text encoder's config.json names; raises BadWeights."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadWeights(f"{path}: not a text encoder's config ({type(error).__name__}: {error}).") from error


def load_image_encoder(
    place: Path, processor: Path | None, device: torch.device | str, dtype: torch.dtype
) -> ImageEncoder:
    """The image encoder that lies there, with its processor's folder, which original checkpoints do not have.

    Raises BadWeights or MissingDependency.
    """
    from hibari.model.clip_image import CLIPImageEncoder

    return CLIPImageEncoder.load(place, processor, device=device, dtype=dtype)
