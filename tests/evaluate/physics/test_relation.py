"""Two things: questions that tell how they stand, and clips that show it or not. About 6 seconds."""

import re
from dataclasses import replace
from pathlib import Path

from hibari.catalog.world import World as Words
from hibari.evaluate.judges import Judges
from hibari.evaluate.physics.probe import own_scores
from hibari.evaluate.physics.relation import RELATION, WORDS, tells
from hibari.worlds import World
from hibari.worlds.split import is_held_out

SHIPPED = Path(__file__).parents[3] / "weights" / "hibari_mini" / "world.json"


def test_every_question_tells_the_relation_of_two_held_out_things() -> None:
    for question in RELATION.asked(World(), 40):
        labels = question.scene.labels
        assert len(labels.objects) == 2 and labels.layout in ("beside", "stacked")
        assert re.search("left of|right of|above|over|higher than|below|under|lower than", question.text)
        for thing, motion in zip(labels.objects, labels.motions, strict=True):
            assert is_held_out(thing, motion, labels.background)


def test_a_place_is_no_relation() -> None:
    scene = next(one.scene for one in RELATION.asked(World(), 40) if one.scene.labels.layout == "stacked")
    first, second = scene.labels.objects
    assert tells(replace(scene, caption=f"a {first} floats over a small {second} at sea"))
    assert tells(replace(scene, caption=f"The {second} below the {first}."))
    assert not tells(replace(scene, caption=f"a {first} and a {second} float over the ocean"))
    assert not tells(replace(scene, caption=f"a {first} stays still over the sea while a {second} moves left"))


def test_real_clips_are_right_and_spoiled_ones_wrong() -> None:
    scores = own_scores(RELATION, Judges.load().frames, RELATION.asked(World(), 12))
    assert scores["real clips"]["mean"] >= 0.8
    assert scores["others' questions"]["mean"] < 0.05
    assert scores["in each other's place"]["mean"] == scores["one of them alone"]["mean"] == 0


def test_a_model_has_seen_two_things_where_its_captions_told_of_them() -> None:
    shipped = Words.load(SHIPPED)
    assert RELATION.known(shipped)
    assert not RELATION.known(replace(shipped, words=shipped.words - {"higher", "lower"}))
    assert not RELATION.known(Words(objects=("fox", "bee"))) and {"left", "below"} <= WORDS
