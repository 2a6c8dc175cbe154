"""All measures of one model in one result and one table, on the tiny random model. About 18 seconds."""

from dataclasses import replace
from pathlib import Path

import pytest

from hibari.catalog.world import World as Words
from hibari.config import Settings
from hibari.evaluate.judges import Judges
from hibari.evaluate.makers import load_generator
from hibari.evaluate.physics.measure import NAMES, NOT_IN_WORLD, Way, measure, physics_table
from hibari.evaluate.physics.relation import WORDS
from hibari.generate.generator import Generator
from hibari.worlds import STARTER, World


@pytest.fixture(scope="module")
def generator(home: Path) -> Generator:
    return load_generator(Settings(home=home, model="tiny", dtype="float32"))


def test_random_weights_keep_no_law_and_are_not_asked_for_what_they_never_saw(generator: Generator) -> None:
    words = Words(objects=STARTER.objects, motions=("bounces",), backgrounds=STARTER.backgrounds, words=WORDS)
    knowing = replace(generator, model=replace(generator.model, world=words))
    told: list[tuple[int, int]] = []
    way = Way(steps=1, on_clip=lambda done, total: told.append((done, total)))
    result = measure(knowing, Judges.load(), World(), 2, way)
    assert told == [(done, 6) for done in range(1, 7)]
    measures = result["measures"]
    assert list(measures) == list(NAMES) and measures["permanence"]["made"] is None
    assert measures["relation"]["made"]["mean"] == 0 and len(measures["relation"]["made"]["answers"]) == 2
    assert measures["relation"]["made"]["others' questions"]["of"] == 2
    assert measures["bounces"]["made"]["mean"] < 0.5
    text = physics_table(result)
    assert f"| permanence | {NOT_IN_WORLD} |  | at least 90.0% |  |" in text
    assert "| start-image | 0.00 dB | 0.00 dB to 0.00 dB | at most 0.50 dB | 2 |" in text
    assert "| permanence | nothing to hide behind | 0.0% |" in text and "| at least R² 0.950 | 2 |" in text
    assert "\nrelation: 0.0% where each made clip is held against the others' questions.\n" in text


def test_one_measure_alone(generator: Generator) -> None:
    result = measure(generator, Judges.load(), World(), 2, Way(steps=1), ["relation"])
    assert list(result["measures"]) == ["relation"] and result["measures"]["relation"]["made"] is None
