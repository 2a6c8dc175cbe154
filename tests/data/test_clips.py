"""Clips rendered once by several processes into one mapped file. About 3 s."""

from functools import partial
from pathlib import Path

import numpy as np

from hibari.data.clips import Renderer, render_clips


def paint(value: int, seed: int) -> np.ndarray:
    return np.full((2, 4, 6, 3), (value + seed) % 256, np.uint8)


def make(value: int) -> Renderer:
    return partial(paint, value)


def test_rendered_once_in_order(tmp_path: Path) -> None:
    path = tmp_path / "clips.npy"
    clips = render_clips(path, partial(make, 10), range(20), workers=2)
    assert clips.shape == (20, 2, 4, 6, 3)
    assert clips[:, 0, 0, 0, 0].tolist() == list(range(10, 30))
    again = render_clips(path, partial(make, 99), range(20), workers=2)
    assert np.array_equal(again, clips)
    assert [p.name for p in tmp_path.iterdir()] == ["clips.npy"]
