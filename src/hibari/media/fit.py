"""From one frame size to another without distortion: cover the target, crop the middle, scale once."""

import numpy as np
from PIL import Image

Frame = np.ndarray  # uint8 (height, width, 3)


def cover_box(source: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred box of `source` (width, height) that has `target`'s shape: left, top, right, bottom."""
    scale = max(target[0] / source[0], target[1] / source[1])
    # Rounding must not carry the box over an edge by the last bit.
    width, height = min(target[0] / scale, source[0]), min(target[1] / scale, source[1])
    left, top = (source[0] - width) / 2, (source[1] - height) / 2
    return left, top, min(left + width, source[0]), min(top + height, source[1])


def fit(frame: Frame, width: int, height: int) -> Frame:
    """The middle of a frame at another size; uint8 (height, width, 3), Lanczos."""
    if frame.shape[:2] == (height, width):
        return frame
    box = cover_box((frame.shape[1], frame.shape[0]), (width, height))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS, box=box))
