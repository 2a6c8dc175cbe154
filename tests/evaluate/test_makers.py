"""A model as a maker of clips for judges, and the gallery, on the tiny random model. About 15 seconds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.evaluate.following import Answer, ask, summarise
from hibari.evaluate.gallery import PROMPTS, SEEDS, gallery
from hibari.evaluate.judges import Judges
from hibari.evaluate.makers import load_generator, model_maker, world_of
from hibari.evaluate.prompts import JUDGED, Prompt
from hibari.generate.generator import Generator
from hibari.produce import Hibari

PROMPT = Prompt(seed=3, text="a fox drifts left over the ocean", object="fox", motion="left", background="ocean")


@pytest.fixture(scope="module")
def generator(home: Path) -> Generator:
    return load_generator(Settings(home=home, model="tiny", dtype="float32"))


def test_a_model_makes_clips_of_the_judged_length_that_repeat(generator: Generator) -> None:
    make = model_maker(generator, steps=2)
    frames = make(PROMPT)
    assert frames.shape == (JUDGED, 64, 96, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(make(PROMPT), frames)


def test_random_weights_follow_no_prompt(generator: Generator) -> None:
    answers: list[Answer] = list(ask(model_maker(generator, steps=1), Judges.load(), [PROMPT]))
    assert summarise(answers)["object"]["hits"] == 0


def test_the_world_is_the_one_that_the_model_states(generator: Generator) -> None:
    words = world_of(generator.model).vocabulary
    assert words.objects == ("octopus", "fox") and words.motions == ("left",) and words.backgrounds == ("ocean",)


def test_a_gallery_shows_every_prompt_with_every_seed(home: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    hibari = Hibari(Settings(home=home, model="tiny"))
    prompts = ("a fox", "an octopus over the ocean")
    record = gallery(hibari, tmp_path / "a.png", prompts, (0, 1), lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with Image.open(record.path) as sheet:
        assert sheet.width > sheet.height > 200
    entry = hibari.door.ledger.find(record.id)
    assert entry is not None and len(entry.sources) == 4, "the sheet is recorded with its clips"
    assert len(PROMPTS) == 10 and len(SEEDS) == 4


def test_a_gallery_that_cannot_be_written_is_said_before_work(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        gallery(Hibari(Settings(home=home, model="tiny")), tmp_path / "a.mp4", on_clip=None)
