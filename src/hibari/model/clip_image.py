"""States of pictures for the image-to-video form of Wan 2.1: CLIP's vision model, run by transformers.

The transformer reads the states of the last layer but one, class token first. Pictures are made smaller by PIL
whatever else is installed, so that a picture gives the same states everywhere.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hibari.errors import BadWeights
from hibari.model.pretrained import load_pretrained

LAYER = -2
PROCESSOR = "preprocessor_config.json"


class CLIPImageEncoder:
    """Pictures to states (1,S,E)."""

    def __init__(self, encoder: Any, processor: Any) -> None:
        self.encoder = encoder
        self.processor = processor

    @classmethod
    def load(
        cls,
        place: Path,
        processor: Path | None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "CLIPImageEncoder":
        """Read an encoder (a folder, or an original's file) and its processor's folder; raises BadWeights or
        MissingDependency. Without a folder it is CLIP's own processor, which is that of the published folders.
        """
        encoder = load_pretrained("CLIPVisionModel", place, device, dtype)
        return cls(encoder, _load_processor(None if processor is None else processor / PROCESSOR, encoder.config))

    @torch.inference_mode()
    def encode(self, frames: Sequence[np.ndarray]) -> Tensor:
        """States (1,S,E) of pictures, one after the other; frames are uint8 (height, width, 3)."""
        pictures = [Image.fromarray(frame) for frame in frames]
        pixels_BCHW = self.processor(images=pictures, return_tensors="pt").pixel_values
        pixels_BCHW = pixels_BCHW.to(self.encoder.device, self.encoder.dtype)
        states_BSE: Tensor = self.encoder(pixel_values=pixels_BCHW, output_hidden_states=True).hidden_states[LAYER]
        return states_BSE.flatten(0, 1)[None]


def _load_processor(path: Path | None, config: Any) -> Any:
    """The processor of a file, or CLIP's own, which must make pictures of the size that the encoder's `config` says."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    if path is None:
        return CLIPImageProcessorPil()
    try:
        made = CLIPImageProcessorPil.from_dict(json.loads(path.read_text(encoding="utf-8")))
        shape = tuple(made(images=[Image.new("RGB", (96, 64))], return_tensors="pt").pixel_values.shape[1:])
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadWeights(f"{path}: not an image processor's ({type(error).__name__}: {error}).") from error
    if shape != (3, config.image_size, config.image_size):
        raise BadWeights(
            f"{path}: it makes pictures of {shape}, and the image encoder sees {config.image_size} pixels."
        )
    return made
