"""Lines on logarithmic axes: where they go, and that none is left out. Under 1 s."""

import numpy as np

from hibari.evaluate.curve import DEEP, HEIGHT, LEFT, PALE, RIGHT, Line, draw_curve
from hibari.worlds.sheet import INK

WIDTH = 900


def height(pixels: np.ndarray, colour: tuple[int, int, int], column: int) -> int:
    """The uppermost row in which a colour stands in a column, within what antialiasing leaves of it."""
    near = np.abs(pixels[:, column].astype(int) - colour).max(-1) < 45
    return int(np.flatnonzero(near)[0])


def test_values_lie_where_their_logarithms_say() -> None:
    lines = [Line("t = 0.1", [0.8, 0.4, 0.2]), Line("t = 0.9", [0.1, 0.1, 0.1]), Line("mean", [0.4, 0.2, 0.1], True)]
    pixels = np.asarray(draw_curve([1e14, 4e14, 16e14], lines, WIDTH))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    ends = [LEFT + 60, WIDTH - RIGHT - 30]  # inside the first and the last place
    pale, deep = ([height(pixels, colour, column) for column in ends] for colour in (PALE, DEEP))
    assert pale[1] > pale[0] + 100, "a loss that falls goes down"
    assert deep[0] == deep[1], "one that stays is level"
    middle = (LEFT + WIDTH - RIGHT) // 2
    straight = height(pixels, PALE, middle)
    assert abs(straight - np.interp(middle, ends, pale)) < 3, "a power law is a straight line"
    assert straight + 50 < height(pixels, INK, middle) < deep[0] - 50, "the mean lies between"
