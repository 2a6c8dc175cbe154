"""The visible label: where it stands, how high its letters are, and which words it has. About a second."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from hibari.config import Settings
from hibari.provenance.label import Label

SIZES = [(854, 480), (480, 854), (432, 240), (192, 112), (96, 64)]


def settings(**given: str) -> Settings:
    return Settings(home=Path("home"), **given)  # type: ignore[arg-type]


def label(region: str) -> Label:
    found = Label.of(settings(region=region, organisation="Studio"))
    assert found is not None
    return found


def changed(of: Label, width: int, height: int, grey: int = 120) -> np.ndarray:
    """Where a label on a grey frame is lighter (1) and darker (-1) than the frame."""
    frame = np.full((height, width, 3), grey, np.uint8)
    labelled = of.draw(frame)
    assert (frame == grey).all() and labelled.shape == frame.shape and labelled.dtype == np.uint8
    return np.sign(labelled[..., 0].astype(int) - grey)


@pytest.mark.parametrize("region", ["none", "cn"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_stands_whole_in_the_lower_right_corner(region: str, width: int, height: int) -> None:
    seen = changed(label(region), width, height)
    rows, columns = np.nonzero(seen)
    assert rows.min() > height / 2, "the upper half is untouched"
    assert rows.max() < height - 1 and columns.max() < width - 1 and columns.min() > 0, "and it is not cut off"
    assert len(rows) < max(0.06 * width * height, 1300), "it is small"
    assert 0.1 < (seen == 1).sum() / len(rows) < 0.6, "white letters on a dark plate"


@pytest.mark.parametrize(("width", "height"), [*SIZES, (384, 224)])
def test_the_space_between_its_words_is_seen(width: int, height: int) -> None:
    letters = (label("none").draw(np.zeros((height, width, 3), np.uint8))[..., 0] > 60).any(0)
    columns = np.flatnonzero(letters)
    gaps = np.sort(np.diff(columns) - 1)
    assert gaps[-1] >= 2 * max(1, gaps[-2]), "the widest gap is the one between the words"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_chinas_letters_are_a_twentieth_of_the_shorter_side(width: int, height: int) -> None:
    rows, columns = np.nonzero(label("cn").draw(np.zeros((height, width, 3), np.uint8))[..., 0] > 127)
    first = columns.min() + (columns.max() - columns.min()) // 4  # inside "AI", whose letters are the lowest
    capitals = rows[columns <= first]
    assert capitals.max() - capitals.min() + 1 >= 0.05 * min(width, height)
    assert capitals.max() - capitals.min() + 1 >= 8, "and can be read"


def test_the_words_of_a_region_are_all_in_its_font() -> None:
    chinese = label("cn")
    assert chinese.text == "AI生成" and chinese.font is not None
    font = ImageFont.truetype(str(chinese.font), 40)
    shapes = [bytes(font.getmask(letter)) for letter in [*chinese.text, "\uffff"]]
    assert len(set(shapes)) == len(shapes), "a letter that the font lacks would look like any other that it lacks"


def test_an_operator_may_leave_it_out() -> None:
    assert Label.of(settings(label="off")) is None
    assert Label.of(settings()) == Label()
