"""Permanence: what counts as coming out again, on readings by hand and on real and spoiled clips. About 8 seconds."""

import numpy as np
import pytest

from hibari.catalog.world import World as Words
from hibari.evaluate.frame_judge import Readings
from hibari.evaluate.judges import Judges
from hibari.evaluate.physics.permanence import PERMANENCE, score
from hibari.evaluate.physics.probe import Question, Seen, own_scores
from hibari.worlds import World

FRAMES = 24


@pytest.fixture(scope="module")
def question() -> Question:
    return PERMANENCE.asked(World(), 1)[0]


def seen(question: Question, heat: np.ndarray, x: np.ndarray, y: np.ndarray | None = None) -> Seen:
    """The object that is asked for with that heat at those places, and another one without heat."""
    spots = np.zeros((FRAMES, 2, 2))
    spots[:, 0, 0], spots[:, 0, 1] = x, 50.0 if y is None else y
    readings = Readings(
        presence=heat,
        centre=spots[:, 0],
        size=np.full(FRAMES, 30.0),
        objects=np.stack([heat, np.full(FRAMES, 0.1)], 1),
        spots=spots,
        places=np.ones((FRAMES, 1)),
    )
    names = (question.scene.labels.objects[0], "another")
    return Seen(readings=readings, objects=names, height=112, width=192, fps=12)


def hidden(start: int, stop: int) -> np.ndarray:
    heat = np.full(FRAMES, 0.9)
    heat[start:stop] = 0.02
    return heat


def test_coming_out_on_the_other_side_is_right_both_ways(question: Question) -> None:
    way = np.linspace(20, 170, FRAMES)
    assert score(seen(question, hidden(9, 15), way), question) == 1
    assert score(seen(question, hidden(9, 15), way[::-1]), question) == 1


def test_everything_else_is_wrong(question: Question) -> None:
    way, gone = np.linspace(20, 170, FRAMES), hidden(9, 15)
    back = np.where(np.arange(FRAMES) < 12, way, way[::-1])
    faint = np.where(gone < 0.5, 0.3, gone)
    wrong = {
        "in sight all the time": seen(question, hidden(0, 0), way),
        "faint, and not gone": seen(question, faint, way),
        "gone for a blink": seen(question, hidden(11, 13), way),
        "never back": seen(question, hidden(9, FRAMES), way),
        "never there before": seen(question, hidden(0, 12), way),
        "back on the same side": seen(question, gone, back),
        "stands where it came out": seen(question, gone, np.where(np.arange(FRAMES) < 12, way, way[15])),
        "in another lane": seen(question, gone, way, np.where(np.arange(FRAMES) < 12, 20.0, 90.0)),
        "hidden on the spot": seen(question, gone, np.full(FRAMES, 90.0)),
    }
    assert {name: score(one, question) for name, one in wrong.items()} == dict.fromkeys(wrong, 0.0)


def test_another_thing_that_comes_out_is_wrong(question: Question) -> None:
    right = seen(question, hidden(9, 15), np.linspace(20, 170, FRAMES))
    right.readings.objects[15:] = (0.1, 0.9)
    assert score(right, question) == 0


def test_real_clips_are_right_and_spoiled_ones_wrong() -> None:
    scores = own_scores(PERMANENCE, Judges.load().frames, PERMANENCE.asked(World(), 5))
    assert scores.pop("real clips")["mean"] == 1.0
    assert scores.pop("others' questions")["mean"] <= 0.2, "two of five may ask for the same object"
    assert len(scores) == 4 and all(row["mean"] == 0 for row in scores.values()), scores


def test_a_world_without_hiding_is_known() -> None:
    assert PERMANENCE.known(Words(objects=("fox",), motions=("left", "hides")))
    assert not PERMANENCE.known(Words(objects=("fox",), motions=("left",)))
