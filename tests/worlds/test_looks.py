"""Looks: which there are, uniform draws that depend on nothing else, and captions that say or leave out. 15 seconds."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hibari.shapes import VideoShape
from hibari.worlds import Labels, Scene, SpritePack, World, whole, words
from hibari.worlds.looks import GENDERS, TONES, Look, draw_look, drawable, looks_of
from hibari.worlds.pack import Entry
from hibari.worlds.portraits import portray
from tiny_people import entry_of, tiny_people

CLIP = VideoShape(5, 64, 64)
SCENES = 2400
TONE_SAID = re.compile(r"skin", re.IGNORECASE)
GENDER_SAID = re.compile(r"\b(woman|man|female|male|androgynous|gender-neutral)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> SpritePack:
    return tiny_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def scenes(pack: SpritePack) -> list[Scene]:
    return scenes_of(pack, ("health worker", "farmer", "person"))


def scenes_of(pack: SpritePack, kinds: tuple[str, ...]) -> list[Scene]:
    """Training scenes of one thing each."""
    vocabulary = replace(
        whole(pack), objects=kinds, weights=(), counts=(1.0,), motions=("still", "left", "up", "grows")
    )
    world = World(pack, replace(vocabulary, backgrounds=("meadow", "city", "room")))
    return [world.scene(seed, CLIP) for seed in range(SCENES)]


def seen(scene: Scene) -> Look:
    look = scene.labels.look(0)
    assert look is not None
    return look


def distance(counts: "Counter[str]", options: tuple[str, ...]) -> float:
    """Total variation from uniform over the options."""
    total = sum(counts.values())
    return 0.5 * sum(abs(counts[option] / total - 1 / len(options)) for option in options)


def test_kinds_are_found_by_code_points(pack: SpritePack) -> None:
    assert {kind: len(looks) for kind, looks in pack.looks.items()} == {
        "health worker": 18,
        "farmer": 18,
        "person": 18,
        "waving hand": 6,
        "genie": 3,
    }
    assert {look.gender for look in pack.looks["waving hand"]} == {""}
    assert whole(pack).objects == ("health worker", "farmer", "person", "waving hand", "genie", "octopus")
    assert whole(pack).weights == (3.0, 3.0, 3.0, 1.0, 3.0, 1.0), "as many chances as genders"
    assert looks_of(SpritePack.load().entries.values()) == {}, "the starter's things come in one look"


def test_yellow_is_drawn_only_where_there_are_no_tones(pack: SpritePack) -> None:
    assert all(look.tone for look in drawable(pack.looks["farmer"])) and len(drawable(pack.looks["farmer"])) == 15
    assert len(drawable(pack.looks["genie"])) == 3


def test_a_gender_with_few_sprites_comes_up_as_often_as_the_others() -> None:
    looks = [Look(sprite=f"{tone}", gender="woman", tone=tone) for tone in TONES]
    looks.append(Look(sprite="man", gender="man", tone="dark"))
    rng = np.random.default_rng(0)
    drawn = Counter(draw_look(rng, looks).gender for _ in range(2000))
    assert distance(drawn, ("woman", "man")) < 0.03


def test_open_captions_stand_over_a_uniform_draw(scenes: list[Scene]) -> None:
    """With 800 to 1,400 draws, uniform ones are within 0.05 of uniform in 99 of 100 worlds; seeds are fixed."""
    toneless = [seen(scene) for scene in scenes if not TONE_SAID.search(scene.caption)]
    genderless = [seen(scene) for scene in scenes if not GENDER_SAID.search(scene.caption)]
    assert 0.5 < len(toneless) / SCENES < 0.7 and 0.5 < len(genderless) / SCENES < 0.7
    assert distance(Counter(look.tone for look in toneless), TONES) < 0.05
    assert distance(Counter(look.gender for look in genderless), GENDERS) < 0.05
    for kind in ("health worker", "farmer", "person"):
        few = [seen(scene) for scene in scenes if scene.labels.objects == (kind,)]
        assert distance(Counter(look.tone for look in few), TONES) < 0.08, kind
        assert distance(Counter(look.gender for look in few), GENDERS) < 0.08, kind


def test_one_kind_alone_is_drawn_uniformly_too(pack: SpritePack) -> None:
    few = [seen(scene) for scene in scenes_of(pack, ("health worker",))[:1200]]
    assert distance(Counter(look.tone for look in few), TONES) < 0.05
    assert distance(Counter(look.gender for look in few), GENDERS) < 0.05


@pytest.mark.parametrize("trait", ["gender", "tone"])
def test_kind_motion_and_place_say_nothing_about_gender_and_tone(scenes: list[Scene], trait: str) -> None:
    """Chi-square of each table against independence: below the 99.9% point, some 3.3 deviations above its mean."""
    for other in ("objects", "motions", "background"):
        pairs = Counter((getattr(seen(scene), trait), getattr(scene.labels, other)) for scene in scenes)
        rows, columns = ({pair[axis] for pair in pairs} for axis in (0, 1))
        table = np.array([[pairs[row, column] for column in columns] for row in rows], float)
        expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
        degrees = (len(rows) - 1) * (len(columns) - 1)
        assert ((table - expected) ** 2 / expected).sum() < degrees + 3.3 * np.sqrt(2 * degrees) + 3, other


def test_captions_say_what_was_drawn(scenes: list[Scene]) -> None:
    skins = {tone: [*words.SKINS[tone], *words.SKINNED[tone]] for tone in TONES}
    said = Counter[str]()
    for scene in scenes:
        caption, look = scene.caption.lower(), seen(scene)
        if TONE_SAID.search(caption):
            phrases = [(tone, phrase) for tone in TONES for phrase in skins[tone]]
            found = [(len(phrase), tone) for tone, phrase in phrases if re.search(rf"(?<![\w-]){phrase}\b", caption)]
            assert max(found)[1] == look.tone, caption
            said[max(found)[1]] += 1
        gender = GENDER_SAID.search(caption)
        if gender:
            assert look.gender in {"female": "woman", "male": "man"}.get(gender[1], gender[1]) or (
                look.gender == "neutral" and gender[1] in words.NEUTRALLY
            ), caption
    assert set(said) == set(TONES)


@pytest.mark.parametrize(
    ("noun", "gender", "forms"),
    [
        ("farmer", "woman", {"woman farmer with dark skin", "dark-skinned female farmer"}),
        ("person running", "man", {"man with dark skin running", "dark-skinned man running"}),
        ("person with a white cane", "woman", {"woman with dark skin and a white cane"}),
        ("bald person", "man", {"bald man with dark skin"}),
        ("child", "woman", {"girl with dark skin", "dark-skinned girl"}),
        ("two men kissing", "", {"two men kissing who both have dark skin"}),
        ("Santa Claus", "", {"Santa Claus with dark skin"}),
        ("merperson", "neutral", {"gender-neutral merperson with dark skin"}),
        ("hand with painted nails", "", {"dark-skinned hand with painted nails"}),
    ],
)
def test_english(noun: str, gender: str, forms: set[str]) -> None:
    rng, look = np.random.default_rng(0), Look(sprite="", gender=gender, tone="dark")
    said = {portray(rng, noun, look, gender=True, tone=True) for _ in range(60)}
    assert forms <= said, said
    assert {portray(rng, noun, look, gender=False, tone=False) for _ in range(9)} == {noun}
    mentions = [portray(rng, noun, look, gender=True, tone=False) for _ in range(9)]
    assert not any("skin" in mention for mention in mentions)


def test_labels_name_the_sprites(pack: SpritePack) -> None:
    world = World(pack, replace(whole(pack), counts=(0.0, 1.0)))
    for seed in range(20):
        scene = world.scene(seed, CLIP)
        assert scene.labels.sprites == tuple(actor.sprite.name for actor in scene.actors)
        for name, look in zip(scene.labels.objects, scene.labels.looks, strict=True):
            assert (look is None) == (name == "octopus")
            assert look is None or look in pack.looks[name]
    assert Labels(("octopus",), ("still",), "sky").sprites == ("octopus",)


def test_a_scene_may_be_given_its_look(pack: SpritePack) -> None:
    world = World(pack, replace(whole(pack), objects=("genie",), weights=(), counts=(1.0,)))
    for look in pack.looks["genie"]:
        labels = world.scene(3, CLIP, looks=(look,)).labels
        assert labels.looks == (look,) and labels.sprites == (look.sprite,)


def test_a_vocabulary_may_ask_for_one_look(pack: SpritePack) -> None:
    vocabulary = replace(whole(pack), objects=("woman farmer with dark skin tone",), weights=(), counts=(1.0,))
    labels = World(pack, vocabulary).scene(0, CLIP).labels
    assert labels.sprites == ("woman farmer with dark skin tone",) and labels.looks == (None,)


def test_a_girl_is_a_child_and_a_couple_has_no_gender() -> None:
    children = _entries(["1f9d2", "1f467", "1f466", "1f9d2-1f3fb", "1f467-1f3fb", "1f466-1f3fb"])
    assert {look.gender for look in looks_of(children)["1f9d2"]} == set(GENDERS)
    pair = "1f468-200d-2764-200d-1f468"
    couple = _entries([pair, "1f468-1f3fb-200d-2764-200d-1f468-1f3fb"])
    assert [(look.gender, look.tone) for look in looks_of(couple)[pair]] == [("", ""), ("", "light")]
    assert looks_of(_entries(["2640", "2642"])) == {}, "signs are nobody"


def _entries(codes: list[str]) -> list[Entry]:
    return [entry_of(code, code, "light" if "1f3fb" in code else "") for code in codes]
