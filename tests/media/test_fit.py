"""Fitting a frame to a size: the box stays inside. Under a second."""

import numpy as np
import pytest

from hibari.media.fit import cover_box, fit


@pytest.mark.parametrize("target", [(192, 112), (64, 96), (57, 33)])
def test_the_box_never_leaves_the_picture(target: tuple[int, int]) -> None:
    for width in range(2, 140, 3):
        for height in range(2, 140, 3):
            left, top, right, bottom = cover_box((width, height), target)
            assert 0 <= left < right <= width and 0 <= top < bottom <= height


def test_the_middle_is_kept() -> None:
    frame = np.zeros((40, 120, 3), np.uint8)
    frame[:, 40:80] = 255
    assert (fit(frame, 20, 20)[:, 4:-4] == 255).all()  # the filter reaches over the cut by a few pixels
