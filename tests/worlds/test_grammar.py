"""Captions: grammatical, varied, and about what the scene shows and nothing else. About 5 seconds."""

import re

import numpy as np
import pytest

from hibari.shapes import VideoShape
from hibari.worlds import STARTER, Labels, World, words
from hibari.worlds.grammar import Captioner, Glimpse, conjugate

WORLD = World()
CLIP = VideoShape(17, 96, 96)
# Words that give a motion away; a caption may use one only where the motion is there.
TELLING = {
    "left": r"left|leftwards",
    "right": r"right|rightwards",
    "up": r"ris(es|ing|e)|ascend\w*|climb\w*|up|upwards?",
    "down": r"sink\w*|descend\w*|down|downwards?",
    "bounces": r"bounc\w+|hop\w*",
    "grows": r"grow\w*|bigger|larger",
    "circles": r"circl\w+",
    "still": r"stay\w*|remain\w*|keep\w*|hover\w*",
}
PLACE_WORDS = {
    "sunset": r"sunset|sun sets",
    "night": r"night|stars|starry|moonlight",
    "meadow": r"meadow|field|green hills",
    "desert": r"desert|dunes",
    "ocean": r"ocean|sea|water",
    "snow": r"snow|snowy|winter",
    "forest": r"forest|woods|trees|tree trunks",
    "sky": r"sky|clouds",
}


def said(pattern: str, caption: str) -> bool:
    return re.search(rf"\b({pattern})\b", caption, re.IGNORECASE) is not None


@pytest.mark.parametrize(
    ("phrase", "third", "plural", "ing"),
    [
        ("*drift left", "drifts left", "drift left", "drifting left"),
        (
            "*pass behind it and *come out",
            "passes behind it and comes out",
            "pass behind it and come out",
            "passing behind it and coming out",
        ),
        ("*get bigger", "gets bigger", "get bigger", "getting bigger"),
        ("*go up", "goes up", "go up", "going up"),
        ("*hop up and down", "hops up and down", "hop up and down", "hopping up and down"),
        ("suddenly *appear", "suddenly appears", "suddenly appear", "suddenly appearing"),
        ("*rise", "rises", "rise", "rising"),
    ],
)
def test_verbs(phrase: str, third: str, plural: str, ing: str) -> None:
    assert [conjugate(phrase, form) for form in ("third", "plural", "ing")] == [third, plural, ing]


def names_of(thing: str) -> str:
    return "|".join([thing, *words.SYNONYMS.get(thing, ())])


def test_captions_name_what_is_there_and_nothing_that_is_not() -> None:
    for seed in range(400):
        scene = WORLD.scene(seed, CLIP)
        caption, labels = scene.caption, scene.labels
        for thing in STARTER.objects:
            assert said(names_of(thing), caption) == (thing in labels.objects), caption
        for motion in labels.motions:
            assert said(TELLING[motion], caption), caption
        assert said(PLACE_WORDS[labels.background], caption), caption
        places = {place for place, pattern in PLACE_WORDS.items() if said(pattern, caption)}
        # The sun sets over the sea, and the night is a sky.
        assert places - {labels.background} <= {"sunset": {"ocean"}, "night": {"sky"}}.get(labels.background, set()), (
            caption
        )
        if len(labels.objects) == 1 and labels.motions[0] not in ("bounces", "still"):
            text = re.sub("up in the sky|on the (left|right)|left of|right of", "", caption, flags=re.IGNORECASE)
            others = {motion for motion in TELLING if said(TELLING[motion], text)} - {labels.motions[0]}
            # "from left to right" names both sides.
            assert others <= ({"left", "right"} if "from" in text else {"up"} if "grow" in text else set()), caption


def test_captions_vary() -> None:
    captions = [WORLD.scene(seed, CLIP).caption for seed in range(300)]
    lengths = [len(caption.split()) for caption in captions]
    assert len(set(captions)) > 295
    assert min(lengths) <= 5 and max(lengths) >= 14
    assert 0.15 < np.mean([caption.endswith(".") for caption in captions]) < 0.45
    assert not [
        caption for caption in captions if "  " in caption or " ," in caption or "{" in caption or "*" in caption
    ]
    assert not [caption for caption in captions if re.search(r"\ba [aeo]|\ban [^aeiouh]", caption)]


def test_a_picture_shows_no_motion() -> None:
    for seed in range(100):
        caption = WORLD.scene(seed, VideoShape(1, 96, 96)).caption
        # Still pictures keep their own words: "a still of", "up in the sky", "left of".
        text = re.sub("a still of|up in the sky|(to the|on the)? (left|right) of", "", caption, flags=re.IGNORECASE)
        assert not [motion for motion in TELLING if said(TELLING[motion], text)], caption


def captions_of(labels: Labels, glimpses: tuple[Glimpse, ...], count: int = 200) -> list[str]:
    return [Captioner(np.random.default_rng(seed), labels, glimpses).moving() for seed in range(count)]


def test_camera_weather_and_props_are_named() -> None:
    labels = Labels(("crab",), ("hides",), "desert", "pan left", "rain", "single", ("brick wall",))
    for caption in captions_of(labels, (Glimpse(detail="right"),)):
        assert "brick wall" in caption and said("camera|view", caption) and said("rain|rains|rainy", caption), caption


def test_relations_hold_from_either_end() -> None:
    labels = Labels(("crab", "frog"), ("still", "still"), "desert", layout="beside")
    captions = captions_of(labels, (Glimpse(), Glimpse()))
    assert any("left of" in caption for caption in captions) and any("right of" in caption for caption in captions)
    for caption in captions:
        if re.search(r"left of|right of", caption):
            assert re.search(r"crab.* (left) of .*frog|frog.* (right) of .*crab", caption, re.IGNORECASE), caption
        else:
            assert caption.lower().index("crab") < caption.lower().index("frog"), "from left to right"


@pytest.mark.parametrize("motion", words.VERBS)
@pytest.mark.parametrize("place", [*words.PLACES, "plain orange"])
def test_every_motion_in_every_place_can_be_said(motion: str, place: str) -> None:
    many = motion == "collides"
    labels = Labels(
        ("crab", "octopus") if many else ("octopus",),
        (motion, motion) if many else (motion,),
        place,
        layout="collision" if many else "single",
        props=("bush",),
    )
    detail = {"diagonal": "up left", "circles": "clockwise", "up": "up", "down": "down", "left": "left"}.get(
        motion, "right"
    )
    for caption in captions_of(labels, (Glimpse(detail=detail),) * len(labels.objects), 5):
        assert "octopus" in caption.lower() and "{" not in caption and "*" not in caption and "a o" not in caption
