"""A clip and its caption: the one thing that worlds, data, training and galleries hand to each other."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clip:
    """Frames of a video, `(T, H, W, 3)` uint8 RGB, shown at `fps` frames a second, and what they show."""

    frames: np.ndarray
    fps: int
    caption: str

    def __post_init__(self) -> None:
        assert self.frames.dtype == np.uint8 and self.frames.ndim == 4 and self.frames.shape[-1] == 3, self.frames.shape
        assert self.fps > 0, self.fps
