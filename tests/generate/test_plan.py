"""Delivered and rendered: sizes, durations, rates. Under a second, without torch."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hibari.catalog import Card, Form, Model, Rolling
from hibari.errors import InvalidRequest
from hibari.generate.plan import Plan, make_plan
from hibari.generate.sources import ClipShape, SourcePlan
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
MODEL = Model(CARD, Path("tiny"), Form(pipeline="WanPipeline"), Strides(), 3.0, None, ())


def plan(card: Card = CARD, **fields: Any) -> Plan:
    return make_plan(GenerationRequest(**({"prompt": "a fox"} | fields)), replace(MODEL, card=card), 1)


def refused(**fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        plan(**fields)
    return caught.value.option


def over(clip: ClipShape, card: Card = CARD, **fields: Any) -> Plan:
    request = GenerationRequest(prompt="a fox", video=Path("a.mp4"), **fields)
    return make_plan(request, replace(MODEL, card=card), 1, clip)


def clip_of(frames: int, fps: Fraction | int = 12) -> ClipShape:
    return ClipShape(frames=frames, fps=Fraction(fps), width=576, height=336)


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


@pytest.mark.parametrize(("seconds", "fps", "count"), [(0.5, 12, 6), (1, 12, 12), (1, 24, 24), (1, 6, 6), (0.2, 12, 2)])
def test_the_last_frame_is_the_end_image(seconds: float, fps: int, count: int) -> None:
    card = replace(CARD, verbs=("between images",))
    made = plan(card, image="a.png", end_image="b.png", seconds=seconds, fps=fps)
    assert len(made.picks) == count and made.picks == tuple(sorted(made.picks))
    assert (made.picks[0], made.picks[-1]) == (0, made.render.frames - 1)
    assert max(b - a for a, b in pairwise(made.picks)) <= made.render.frames // (count - 1) + 1
    assert any("the last one is the end image" in note for note in made.notes) == (count < made.render.frames)


@pytest.mark.parametrize("seconds", [0.01, 0.1])
def test_a_single_frame_has_no_end(seconds: float) -> None:
    with pytest.raises(InvalidRequest, match="a single frame") as caught:
        plan(replace(CARD, verbs=("between images",)), image="a.png", end_image="b.png", seconds=seconds)
    assert caught.value.option == "seconds"


def test_what_a_model_cannot_do() -> None:
    assert refused(seconds=5.1) == "seconds"
    assert refused(prompt="x" * 101) == "prompt"
    assert refused(negative="x" * 101) == "negative"
    still_only = replace(CARD, verbs=("text to image",))
    with pytest.raises(InvalidRequest):
        plan(still_only)
    assert plan(still_only, seconds=0).picks == (0,)


def source_of(made: Plan) -> SourcePlan:
    assert made.source is not None
    return made.source


def test_a_clip_is_redrawn_whole_at_its_own_size() -> None:
    made = over(clip_of(36))
    assert (made.frames, made.seconds, made.render.frames, str(made.delivered)) == (36, 3.0, 37, "576x336")
    assert source_of(made).known == (*range(36), 35) and source_of(made).kept == ()
    assert source_of(made).level == 0.85 and source_of(over(clip_of(36), strength=0.2)).level == 0.2
    faster = over(clip_of(90, Fraction(30000, 1001)))
    assert source_of(faster).known[:4] == (0, 2, 4, 7) and faster.frames == 36
    part = over(clip_of(100), seconds=1)
    assert (part.frames, len(source_of(part).known)) == (12, 13)


def test_an_extension_keeps_the_clip_and_knows_its_last_second() -> None:
    made = over(clip_of(36), extend=True, seconds=4)
    assert (made.frames, made.seconds, made.made_seconds, made.render.frames) == (84, 7.0, 4.0, 61)
    assert source_of(made).kept == tuple(range(36)) and source_of(made).known == tuple(range(23, 36))
    assert made.picks == tuple(range(13, 61)), "right after what is known"
    fuller = over(clip_of(36), extend=True, seconds=5)
    assert source_of(fuller).known == (35,) and "last frame alone" in fuller.notes[-1]
    short = over(clip_of(3), extend=True, seconds=1)
    assert source_of(short).known == (2,) and short.frames == 15
    faster = over(clip_of(48, 24), extend=True, seconds=0.5)
    assert (faster.fps, faster.frames) == (24, 60) and source_of(faster).known[-3:] == (42, 44, 46)
    assert faster.picks[:4] == (13, 13, 14, 14)


def test_what_cannot_be_done_with_a_clip() -> None:
    asked: list[tuple[dict[str, Any], int, str]] = [
        ({}, 62, "video"),
        ({"seconds": 6}, 36, "seconds"),
        ({"seconds": 4}, 36, "seconds"),
        ({"extend": True, "seconds": 6}, 36, "seconds"),
        ({"extend": True, "seconds": 1}, 12 * 120, "seconds"),
    ]
    for fields, frames, option in asked:
        with pytest.raises(InvalidRequest) as caught:
            over(clip_of(frames), **fields)
        assert caught.value.option == option
    for fields, verbs, option in (({}, ("extend",), "video"), ({"extend": True}, ("video to video",), "extend")):
        with pytest.raises(InvalidRequest, match="cannot do") as caught:
            over(clip_of(36), replace(CARD, verbs=verbs), **fields)
        assert caught.value.option == option
    assert refused(references=("a.png",)) == "references"


ROLLING = replace(CARD, max_seconds=60, rolling=Rolling(window=10, history=3))


def test_what_is_longer_than_a_window_is_made_in_several() -> None:
    assert plan(ROLLING).windows == () and plan(ROLLING).visits == 20
    made = plan(ROLLING, seconds=20)
    assert made.render.frames == 241 and made.windows[-1].stop == 61
    assert len(made.windows) == 9 and made.visits == 9 * 20 and made.at_once(61) == 10
    assert made.notes == ("made in 9 windows, each of which sees the last 9 frames before it",)
    with pytest.raises(InvalidRequest, match="at most 60"):
        plan(ROLLING, seconds=61)
    assert plan(ROLLING, seconds=20, steps=4).visits == 9 * 4


def test_what_is_known_of_the_first_window() -> None:
    assert plan(ROLLING, seconds=5, image="a.png").windows[0].known == 1
    assert plan(ROLLING, seconds=5, image="a.png", strength=0.5).windows[0].known == 0, "it is redrawn"
    longer = over(clip_of(36), ROLLING, extend=True, seconds=10)
    assert longer.windows[0].known == 4 and longer.source is not None and longer.source.context == 13
    with pytest.raises(InvalidRequest, match="redraws at most 37 frames"):
        over(clip_of(120), ROLLING)
    assert over(clip_of(30), ROLLING).windows == ()


def test_frames_that_start_one_after_the_other_are_a_window_too() -> None:
    late = replace(ROLLING, rolling=Rolling(window=10, history=2, block=2, lag=5))
    made = plan(late)
    assert len(made.windows) == 1 and made.visits == 20 + 4 * 5 and made.notes == ()


def test_what_is_known_never_fills_a_window() -> None:
    """Neither a start image of a single frame, nor the second of a clip that goes on, where a window is shorter."""
    late = replace(ROLLING, rolling=Rolling(window=10, history=2, block=2, lag=5))
    assert plan(late, image=Path("a.png"), seconds=0.04).windows == ()
    small = replace(ROLLING, rolling=Rolling(window=3, history=1))
    made = over(clip_of(36), small, extend=True, seconds=3)
    assert made.windows[0].known == 2 and made.source is not None and made.source.context == 5
    assert over(clip_of(36), ROLLING, extend=True, seconds=3).windows[0].known == 4, "a second, where there is room"


@pytest.mark.parametrize(
    "wrong", [{"window": 5, "history": 5}, {"history": 0}, {"block": 0}, {"lag": -1}, {"noise": 1.0}, {"block": 2}]
)
def test_a_rolling_that_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rolling"):
        Rolling(**wrong)
