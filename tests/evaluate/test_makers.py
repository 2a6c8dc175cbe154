"""A model as a maker of clips for judges, on the tiny random model. About 10 seconds."""

from pathlib import Path

import numpy as np
import pytest

from hibari.config import Settings
from hibari.evaluate.following import Answer, ask, summarise
from hibari.evaluate.judges import Judges
from hibari.evaluate.makers import load_generator, model_maker, world_of
from hibari.evaluate.prompts import JUDGED, Prompt
from hibari.generate.generator import Generator

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
