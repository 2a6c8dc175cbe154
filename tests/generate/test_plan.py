"""Delivered and rendered: sizes, durations, rates. Under a second, without torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hibari.catalog import Card, Model
from hibari.errors import InvalidRequest
from hibari.generate.plan import Plan, make_plan
from hibari.request import GenerationRequest, Size
from hibari.shapes import Strides

CARD = Card(
    name="tiny",
    revision="1",
    licence="Apache-2.0",
    sizes=(Size(192, 112), Size(112, 192), Size(128, 128), Size(256, 144)),
    upscale=3,
    fps=12,
    seconds=3,
    max_seconds=5,
    steps=20,
    guidance=4,
    max_prompt=100,
)
MODEL = Model(CARD, Path("tiny"), Strides(), 3.0, None, ())


def plan(card: Card = CARD, **fields: Any) -> Plan:
    return make_plan(GenerationRequest(**({"prompt": "a fox"} | fields)), replace(MODEL, card=card), 1)


def refused(**fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        plan(**fields)
    return caught.value.option


def test_what_a_request_leaves_open_is_the_cards() -> None:
    made = plan()
    assert made.delivered == Size(576, 336)
    assert made.render == (37, 112, 192), "36 frames are delivered, 4n+1 are rendered"
    assert (len(made.picks), made.fps, made.seconds) == (36, 12, 3.0)
    assert (made.steps, made.guidance, made.notes) == (20, 4, ())


@pytest.mark.parametrize(
    ("size", "width", "height"), [("1280x720", 256, 144), ("720x1280", 112, 192), ("1080x1080", 128, 128)]
)
def test_the_nearest_shape_is_rendered_and_said(size: str, width: int, height: int) -> None:
    made = plan(size=size)
    assert (made.render.width, made.render.height) == (width, height)
    assert str(made.delivered) == size
    assert size in made.notes[0]


def test_a_crop_is_said_and_a_shape_too_far_is_refused() -> None:
    notes = plan(size="1280x1000").notes
    assert "cut away at top and bottom" in notes[1] or "cut away at left and right" in notes[1]
    assert refused(size="64x4096") == "size"


@pytest.mark.parametrize(
    ("seconds", "frames", "rendered"), [(0.01, 1, 1), (0.5, 6, 9), (1.5, 18, 21), (3, 36, 37), (5, 60, 61), (0.1, 1, 5)]
)
def test_seconds_are_exact(seconds: float, frames: int, rendered: int) -> None:
    made = plan(seconds=seconds)
    assert (len(made.picks), made.render.frames) == (frames, rendered)


def test_a_picture_is_one_frame() -> None:
    made = plan(seconds=0, fps=30)
    assert (made.render.frames, made.picks, made.seconds, made.notes) == (1, (0,), 0, ())


def test_another_rate_repeats_or_drops_frames_and_says_so() -> None:
    double, half, odd = plan(fps=24, seconds=1), plan(fps=6, seconds=1), plan(fps=30, seconds=1)
    assert double.picks == tuple(index // 2 for index in range(24))
    assert half.picks == (0, 2, 4, 6, 8, 10)
    assert len(odd.picks) == 30 and max(odd.picks) == 11
    assert {made.seconds for made in (double, half, odd)} == {1.0}
    assert "repeated" in double.notes[0] and "dropped" in half.notes[0]


def test_what_a_model_cannot_do() -> None:
    assert refused(seconds=5.1) == "seconds"
    assert refused(prompt="x" * 101) == "prompt"
    assert refused(negative="x" * 101) == "negative"
    still_only = replace(CARD, verbs=("text to image",))
    with pytest.raises(InvalidRequest):
        plan(still_only)
    assert plan(still_only, seconds=0).picks == (0,)
