"""Prompt following: what counts as right, what chance is, and the two makers that bound all models. About 2 seconds."""

from dataclasses import replace

import numpy as np
import pytest

from hibari.evaluate.following import ASPECTS, Answer, by_class, chance, noise_maker, oracle, summarise
from hibari.evaluate.intervals import Share
from hibari.evaluate.judges import Verdict
from hibari.evaluate.prompts import RENDERED, Prompt, held_out_scenes, plain_world, prompts_of
from hibari.evaluate.report import following_table
from hibari.worlds import World
from hibari.worlds.split import is_held_out

OBJECTS = ("crab", "fox", "bee", "robot")


def answers(seen: tuple[str | None, ...]) -> list[Answer]:
    """One prompt for each object, and a clip that shows what `seen` says."""
    return [
        Answer(
            Prompt(seed=index, text=f"a {name}", object=name, motion="left", background="snow"),
            Verdict(object=shown, motion="left", background="snow", share=1.0),
        )
        for index, (name, shown) in enumerate(zip(OBJECTS, seen, strict=True))
    ]


def test_a_perfect_maker_gets_everything_and_chance_is_that_of_shuffled_prompts() -> None:
    perfect = answers(OBJECTS)
    summary = summarise(perfect)
    assert [summary[aspect]["share"] for aspect in ASPECTS] == [1.0, 1.0, 1.0]
    assert summary["all three"]["hits"] == 4 and summary["object"]["mistakes"] == []
    # Every clip shows another object than every other prompt, and the same motion.
    assert chance(perfect, "object") == 0.0 and chance(perfect, "motion") == 1.0


def test_one_answer_to_everything_is_chance() -> None:
    lazy = answers(("crab",) * 4)
    assert summarise(lazy)["object"]["share"] == pytest.approx(0.25)
    assert chance(lazy, "object") == pytest.approx(0.25)
    assert by_class(lazy, "object")["crab"] == Share(1, 1) and by_class(lazy, "object")["fox"] == Share(0, 1)


def test_seeing_none_of_the_vocabulary_is_wrong() -> None:
    blind = answers((None,) * 4)
    summary = summarise(blind)
    assert summary["object"]["share"] == 0.0 and chance(blind, "object") == 0.0
    assert ["crab", None, 1] in summary["object"]["mistakes"]


def test_the_table_has_a_row_for_each_aspect_and_class() -> None:
    text = following_table(summarise(answers(("crab", "fox", "crab", None))))
    assert "| object | 50.0% | 15.0% to 85.0% |" in text
    assert "| object | fox | 100.0% |" in text and "| motion | left | 100.0% |" in text


def test_prompts_are_held_out_triples_of_plain_scenes_in_order() -> None:
    world = plain_world(World())
    prompts = prompts_of(held_out_scenes(world, 30))
    assert [prompt.seed for prompt in prompts] == list(range(30))
    assert all(is_held_out(prompt.object, prompt.motion, prompt.background) for prompt in prompts)
    assert len({prompt.text for prompt in prompts}) == 30


def test_the_oracle_draws_the_prompts_own_scene_and_noise_is_noise() -> None:
    world = plain_world(World())
    scene = held_out_scenes(world, 3)[2]
    prompt = prompts_of([scene])[0]
    np.testing.assert_array_equal(oracle(world)(prompt), scene.render())
    noise = noise_maker(prompt)
    assert noise.shape == (*RENDERED, 3) and noise.std() > 70
    assert (noise != noise_maker(replace(prompt, seed=9))).any()
