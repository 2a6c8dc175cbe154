"""Weather changes every frame, moves, and is the same for the same seed. About a second."""

import numpy as np
import pytest

from hibari.worlds.weather import WEATHERS, fall


@pytest.mark.parametrize("name", WEATHERS)
@pytest.mark.parametrize("size", [(48, 64), (112, 32)])
def test_weather(name: str, size: tuple[int, int]) -> None:
    plain = np.full((5, *size, 3), 90, np.uint8)
    frames, again = plain.copy(), plain.copy()
    fall(np.random.default_rng(1), name, frames, 12)
    fall(np.random.default_rng(1), name, again, 12)
    assert (frames == again).all()
    assert all((frame != 90).any() for frame in frames)
    assert all((a != b).any() for a, b in zip(frames[1:], frames[:-1], strict=True)), "it moves"
    assert 1 < np.abs(frames.astype(float) - 90).mean() < 90, "and hides nothing wholly"
