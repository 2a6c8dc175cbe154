"""Contact sheets: everything is on them, whatever its shape. About a second."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hibari.clip import Clip
from hibari.errors import OutputError
from hibari.shapes import VideoShape
from hibari.worlds.sheet import contact_sheet, save_sheet


def clip(frames: int, height: int, width: int, value: int) -> Clip:
    return Clip(np.full((frames, height, width, 3), value, np.uint8), 12, "a long caption " * value)


def test_clips_of_all_shapes_and_long_captions() -> None:
    sheet = contact_sheet([clip(17, 96, 160, 10), clip(1, 96, 96, 2), clip(5, 160, 96, 7)], columns=2, height=40)
    shades = {tuple(colour) for colour in np.asarray(sheet).reshape(-1, 3)}
    assert {(10, 10, 10), (2, 2, 2), (7, 7, 7)} <= shades
    assert sheet.width > 2 * 40 and sheet.height > 2 * 40


def test_a_sheet_of_seeds_is_written(tmp_path: Path) -> None:
    path = save_sheet(tmp_path / "sheet.png", shape=VideoShape(5, 64, 96), count=3, first_seed=40)
    with Image.open(path) as picture:
        assert picture.size[0] > 200
    with pytest.raises(OutputError, match="cannot be written"):
        save_sheet(tmp_path / "nowhere" / "sheet.png", shape=VideoShape(1, 64, 96), count=1)
    with pytest.raises(OutputError, match="cannot be written"):
        save_sheet(tmp_path / "sheet.banana", shape=VideoShape(1, 64, 96), count=1)
