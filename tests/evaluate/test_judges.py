"""The judges that come with Hibari on real, spoiled and shuffled clips, and their file. About 12 seconds.

The card beside the weights has the same numbers over hundreds of clips; here a few clips guard against rot.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from hibari.errors import BadWeights, HibariError
from hibari.evaluate.following import ASPECTS, ask, noise_maker, oracle, summarise
from hibari.evaluate.frame_judge import Readings
from hibari.evaluate.judge_training import passes, score_judges
from hibari.evaluate.judges import CARD, SHIPPED, WEIGHTS, Judges, track_of
from hibari.evaluate.prompts import held_out_scenes, plain_world, prompts_of
from hibari.evaluate.report import judges_table
from hibari.worlds import STARTER, World

MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def judges() -> Judges:
    return Judges.load()


def test_the_shipped_card_passes_and_the_file_is_small() -> None:
    card = json.loads((SHIPPED / CARD).read_text())
    assert passes(card) and (SHIPPED / WEIGHTS).stat().st_size <= MAX_BYTES
    assert all(card["real"][aspect]["of"] >= 100 for aspect in ASPECTS)
    # Shuffled prompts get what two random clips have in common, and no more.
    assert all(card["shuffled"][aspect] < 2 * card["uniform chance"][aspect] for aspect in ASPECTS)
    assert "| right object, real held-out clips |" in judges_table(card)


def test_they_know_the_starter_world(judges: Judges) -> None:
    judges.require(objects=STARTER.objects, motions=STARTER.motions, backgrounds=STARTER.backgrounds)
    with pytest.raises(HibariError, match="do not know griffin among objects"):
        judges.require(objects=("griffin",))


def test_the_world_itself_follows_its_prompts(judges: Judges) -> None:
    world = plain_world(World())
    summary = summarise(list(ask(oracle(world), judges, prompts_of(held_out_scenes(world, 20, first=500)))))
    assert [summary[aspect]["hits"] >= 19 for aspect in ASPECTS] == [True] * 3, summary


def test_noise_follows_nothing(judges: Judges) -> None:
    world = plain_world(World())
    summary = summarise(list(ask(noise_maker, judges, prompts_of(held_out_scenes(world, 6)))))
    assert [summary[aspect]["hits"] for aspect in ("object", "background")] == [0, 0]


def test_a_card_has_every_kind_of_spoiled_clip(judges: Judges) -> None:
    card = score_judges(judges, World(), clips=6)
    assert set(card["rejected"]) == {"blurred, sigma 3", "blurred, sigma 5", "blurred, sigma 8", "noise"}
    assert len(card["sizes"]) == 9 and card["softened"]["sigma 1.6"]["background"]["hits"] == 2


def test_they_are_saved_and_loaded(judges: Judges, tmp_path: Path) -> None:
    judges.save(tmp_path / "new", {"real": "not measured"})
    again = Judges.load(tmp_path / "new")
    frames = World().scene(7, (5, 96, 96)).render()
    assert again.judge(frames) == judges.judge(frames) and again.words == judges.words


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_damaged_file_is_one_error(judges: Judges, tmp_path: Path, name: str) -> None:
    judges.save(tmp_path, {})
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(BadWeights, match="--train"):
        Judges.load(tmp_path)


def test_a_reading_that_leaps_is_not_followed() -> None:
    centre = np.stack([np.linspace(20, 60, 9), np.full(9, 50.0)], 1)
    centre[4] = 180, 10
    readings = Readings(np.ones(9), centre, np.full(9, 30.0), np.zeros((9, 2)), np.zeros((9, 2, 2)), np.zeros((9, 3)))
    assert track_of(readings, 112, 192).seen.tolist() == [True] * 4 + [False] + [True] * 4
