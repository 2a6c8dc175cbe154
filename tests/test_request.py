"""What may be asked for, and how it is said when it may not. Under a second."""

from pathlib import Path
from typing import Any

import pytest

from hibari.errors import InvalidRequest
from hibari.request import MAX_PROMPT, MAX_SEED, GenerationRequest, Size, allowed, seeds


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest(**({"prompt": "a fox"} | fields))
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "size", ["0x0", "0", "17x9999999", "banana", "575x336", "", "-64x64", "64x64x64", "８x８", "1e3x64"]
)
def test_sizes_that_are_none(size: str) -> None:
    error = refusal(size=size)
    assert error.option == "size"
    assert "576x336" in error.hint


def test_sizes_in_every_spelling() -> None:
    for spelling in ("576x336", " 576X336 ", "576×336", (576, 336), Size(576, 336)):
        assert GenerationRequest(prompt="a fox", size=spelling).size == Size(576, 336)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "seconds": [-1, float("nan"), float("inf"), 1e9, "3", True],
        "fps": [0, 61, 12.5, True],
        "seed": [-1, MAX_SEED + 1, 1.0],
        "steps": [0, -1, 1001],
        "guidance": [0, float("nan"), 51],
        "flow_shift": [0, 101, True],
        "strength": [-0.1, 1.1, float("nan")],
    }.items(),
)
def test_numbers_out_of_bounds(field: str, values: list[Any]) -> None:
    for value in values:
        error = refusal(**{field: value})
        assert error.option == field
        assert error.hint == allowed(field)


@pytest.mark.parametrize("prompt", ["", "  \n", "x" * (MAX_PROMPT + 1), "a\0b", 7])
def test_prompts_that_are_none(prompt: Any) -> None:
    assert refusal(prompt=prompt).option == "prompt"


def test_a_long_wrong_value_is_cut() -> None:
    assert len(refusal(size="9" * 10_000).message) < 80


@pytest.mark.parametrize(
    ("field", "value"), [("model", 5), ("model", " "), ("image", 5), ("size", 5), ("size", [1, 2, 3])]
)
def test_values_of_another_type(field: str, value: Any) -> None:
    assert refusal(**{field: value}).option == field


def test_strength_needs_an_image() -> None:
    assert refusal(strength=0.5).option == "strength"
    assert GenerationRequest(prompt="a fox", image="a.png", strength=0).image is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "option"),
    [
        ({"extend": True}, "extend"),
        ({"extend": 1, "video": "a.mp4"}, "extend"),
        ({"extend": True, "video": "a.mp4", "strength": 0.5}, "strength"),
        ({"video": "a.mp4", "image": "a.png"}, "video"),
        ({"video": "a.mp4", "seconds": 0}, "seconds"),
        ({"video": 5}, "video"),
        ({"latents": "a.safetensors"}, "latents"),
        ({"references": "a.png"}, "references"),
        ({"references": ["a.png"] * 5}, "references"),
        ({"references": [1]}, "references"),
        ({"consent": "adults"}, "consent"),
        ({"consent": "me", "video": "a.mp4"}, "consent"),
    ],
)
def test_sources_that_do_not_go_together(fields: dict[str, Any], option: str) -> None:
    assert refusal(**fields).option == option


def test_the_sources_of_a_request() -> None:
    asked = GenerationRequest(prompt="a fox", video="a.mp4", references=["b.png"], consent="nobody")  # type: ignore[arg-type]
    assert asked.sources == (Path("a.mp4"), Path("b.png"))
    assert GenerationRequest(prompt="a fox", video=Path("a.mp4"), extend=True, seconds=2).extend


def test_a_request_is_frozen_and_knows_a_still() -> None:
    request = GenerationRequest(prompt="a fox", seconds=0)
    assert request.is_still
    with pytest.raises(AttributeError):
        request.seconds = 1  # type: ignore[misc]


def test_seeds_follow_each_other() -> None:
    assert seeds(5, 3) == [5, 6, 7]
    for first, count in ((5, 0), (5, 101), (MAX_SEED, 2)):
        with pytest.raises(InvalidRequest):
            seeds(first, count)
