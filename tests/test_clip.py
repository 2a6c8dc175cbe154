"""A clip holds what it says. Well under a second."""

import numpy as np
import pytest

from hibari.clip import Clip


def test_frames_are_uint8_rgb() -> None:
    frames = np.zeros((5, 8, 8, 3), np.uint8)
    assert Clip(frames, 12, "nothing").frames is frames
    for wrong in (frames.astype(np.float32), frames[0], frames[..., :1]):
        with pytest.raises(AssertionError):
            Clip(wrong, 12, "nothing")
