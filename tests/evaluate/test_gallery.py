"""The gallery: every prompt with every seed, named, on one signed sheet. About 10 seconds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hibari.catalog.world import World
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.evaluate.gallery import PROMPTS, SEEDS, lay_out, make_gallery
from hibari.produce import Hibari
from hibari.worlds.sheet import PAPER

WEIGHTS = Path(__file__).parents[2] / "weights" / "hibari_mini"


def test_the_prompts_lie_in_the_shipped_models_world() -> None:
    world = World.load(WEIGHTS / "world.json")
    assert len(PROMPTS) == 10 and list(SEEDS) == [0, 1, 2, 3]
    for prompt in PROMPTS:
        assert len(world.named(prompt)) == 1 and not world.unknown(prompt), prompt


def test_rows_stand_under_their_prompts_and_columns_under_their_seeds() -> None:
    colours = [[(200, 0, 0), (0, 200, 0)], [(0, 0, 200), (200, 200, 0)]]
    rows = [[Image.new("RGB", (60, 40), colour) for colour in row] for row in colours]
    pixels = np.asarray(lay_out(rows, ["a red one", "a blue one"], ["seed 0", "seed 1"]))

    def corner(colour: tuple[int, int, int]) -> tuple[int, int]:
        ys, xs = np.nonzero((pixels == colour).all(-1))
        assert len(ys) == 60 * 40, "the whole picture is there"
        return int(ys.min()), int(xs.min())

    (top, left), (same_top, right) = corner(colours[0][0]), corner(colours[0][1])
    (low, same_left), _ = corner(colours[1][0]), corner(colours[1][1])
    assert top == same_top and left == same_left and low > top + 40 and right > left + 60

    def written(rows: slice, columns: slice) -> bool:
        return bool((pixels[rows, columns] != PAPER).any())

    assert written(slice(0, top - 30), slice(left, right)) and written(slice(0, top - 30), slice(right, None)), "seeds"
    assert written(slice(top + 41, low), slice(0, None)), "the second prompt stands over the second row"
    assert not written(slice(low + 40, None), slice(0, None)), "room for the label"
    long = np.asarray(lay_out(rows[:1], ["a prompt that is a good deal longer than both of its strips"], ["0", "1"]))
    assert long.shape[1] > pixels.shape[1] and (long[:, -20:] == PAPER).all(), "a long prompt is there to its end"


def test_a_gallery_shows_every_prompt_with_every_seed(home: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    hibari = Hibari(Settings(home=home, model="tiny"))
    prompts = ("a fox", "an octopus over the ocean")
    record = make_gallery(hibari, tmp_path / "a.png", prompts, (0, 1), lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with Image.open(record.path) as sheet:
        assert sheet.width > sheet.height > 200
    entry = hibari.door.ledger.find(record.id)
    assert entry is not None and len(entry.sources) == 4, "the sheet is recorded with its clips"


def test_a_gallery_that_cannot_be_written_is_said_before_work(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        make_gallery(Hibari(Settings(home=home, model="tiny")), tmp_path / "a.mp4", on_clip=None)
