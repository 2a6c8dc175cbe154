"""Whom open prompts get: the judge of looks, an even and two uneven makers, closed prompts. About 15 seconds."""

from dataclasses import replace

import numpy as np
import pytest

from hibari.errors import HibariError
from hibari.evaluate.following import MakeClip, noise_maker, oracle
from hibari.evaluate.judge_training import _blurring
from hibari.evaluate.look_judge import LookJudge
from hibari.evaluate.people import TARGET, Seen, look_at, people_table, people_world, questions, summarise, target_of
from hibari.evaluate.prompts import RENDERED, Prompt
from hibari.worlds import STARTER, SpritePack, World, whole
from hibari.worlds.looks import Look
from tiny_people import tiny_people

KINDS = ("health worker", "farmer", "person")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> SpritePack:
    return tiny_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def world(pack: SpritePack) -> World:
    return World(pack, whole(pack))


def always(world: World, of: MakeClip, **wanted: str) -> MakeClip:
    """A maker that shows, where the kind has it, the look that has one gender or one tone, whatever was asked."""

    def make(prompt: Prompt) -> np.ndarray:
        looks = [
            look
            for look in world.pack.looks[prompt.object]
            if all(getattr(look, trait) == value for trait, value in wanted.items())
        ]
        if not looks:
            return of(prompt)
        alone = people_world(world, named=False, kinds=(prompt.object,))
        return alone.scene(prompt.seed, RENDERED, looks=(looks[prompt.seed % len(looks)],)).render()

    return make


def seen_of(world: World, make: MakeClip, count: int, *, named: bool) -> list[Seen]:
    people = people_world(world, named=named, kinds=KINDS)
    return list(look_at(make, LookJudge(world.pack), questions(people, count)))


def test_open_prompts_name_neither_and_closed_ones_both(world: World) -> None:
    opened = questions(people_world(world, named=False), 60)
    closed = questions(people_world(world, named=True), 60)
    assert [each.prompt.seed for each in opened] == list(range(60))
    assert not any("skin" in each.prompt.text or "man " in each.prompt.text for each in opened)
    assert all(each.named is None for each in opened)
    for each in closed:
        assert each.named is not None and ("skin" in each.prompt.text) == bool(each.named.tone), each.prompt.text
    assert {each.prompt.motion for each in opened} <= {"still", "left", "right", "up", "down", "diagonal"}
    assert "octopus" not in {each.prompt.object for each in opened}


def test_the_world_itself_is_read_right_and_even(world: World) -> None:
    closed = seen_of(world, oracle(people_world(world, named=True, kinds=KINDS)), 8, named=True)
    opened = seen_of(world, oracle(people_world(world, named=False, kinds=KINDS)), 12, named=False)
    summary = summarise(opened, closed)
    assert summary["recognised"]["hits"] == 12
    assert summary["closed"]["gender"]["hits"] >= 7 and summary["closed"]["tone"]["hits"] >= 7
    for trait in ("gender", "tone"):
        part = summary["open"][trait]
        assert part["distance"]["low"] <= part["chance"]["high"]
        assert part["of"] == 12 and part["target"].get("yellow", 0) == 0
    text = people_table(summary)
    assert "| gender |" in text and "| closed prompts, tone right |" in text and "| tone | medium-dark |" in text


def test_uneven_makers_are_seen(world: World) -> None:
    even = oracle(people_world(world, named=False, kinds=KINDS))
    men = summarise(seen_of(world, always(world, even, gender="man"), 6, named=False), [])
    assert men["open"]["gender"]["distance"]["value"] == pytest.approx(2 / 3, abs=0.17)
    assert men["open"]["gender"]["distance"]["low"] > TARGET
    assert men["closed"]["gender"]["of"] == 0
    yellow = summarise(seen_of(world, always(world, even, tone=""), 4, named=False), [])
    assert yellow["open"]["tone"]["shares"]["yellow"] >= 0.9 and yellow["open"]["tone"]["distance"]["value"] >= 0.9
    assert yellow["open"]["gender"]["distance"]["value"] < 0.5


def test_nobody_is_seen_where_nobody_is(world: World) -> None:
    summary = summarise(seen_of(world, noise_maker, 3, named=False), seen_of(world, noise_maker, 3, named=True))
    assert summary["recognised"]["hits"] == 0 and summary["closed"]["tone"]["hits"] == 0
    assert "open prompts, somebody recognised | 0.0%" in people_table(summary)
    octopus = World(world.pack, replace(whole(world.pack), objects=("octopus",), weights=(), counts=(1.0,)))
    judge = LookJudge(world.pack)
    assert all(judge.read(octopus.scene(seed, RENDERED).render(), "person").look is None for seed in range(2))


def test_a_soft_person_is_read_and_a_smear_is_not(world: World) -> None:
    judge, people = LookJudge(world.pack), people_world(world, named=False, kinds=KINDS)
    for seed in range(2):
        scene = people.scene(seed, RENDERED)
        frames = scene.render()
        assert judge.read(_blurring(1.6)(frames), scene.labels.objects[0]).look == scene.labels.look(0)
        assert judge.read(frames[:1], scene.labels.objects[0]).look == scene.labels.look(0), "a picture will do"
        assert judge.read(_blurring(10.0)(frames), scene.labels.objects[0]).look is None


def test_targets_are_of_what_a_kind_has(pack: SpritePack) -> None:
    assert target_of(pack.looks["farmer"], "tone") == pytest.approx([0.2] * 5 + [0])
    assert target_of(pack.looks["farmer"], "gender") == pytest.approx([1 / 3] * 3)
    assert not target_of(pack.looks["waving hand"], "gender").any() and not target_of(pack.looks["genie"], "tone").any()
    two = [Look(sprite=name, gender=name, tone="dark") for name in ("woman", "man")]
    assert target_of(two, "gender") == pytest.approx([0.5, 0.5, 0])


def test_a_world_without_people_says_so(world: World) -> None:
    with pytest.raises(HibariError, match="no people"):
        people_world(World(), named=False)
    with pytest.raises(HibariError, match='"nurse"'):
        people_world(world, named=False, kinds=("nurse",))
    with pytest.raises(HibariError, match="upright"):
        people_world(World(world.pack, replace(STARTER, objects=KINDS, motions=("rolls",))), named=False)
