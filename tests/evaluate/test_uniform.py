"""Distances from uniform: exact where they can be, and what chance and stereotypes give. About a second."""

import numpy as np
import pytest

from hibari.evaluate.uniform import Observed, distance, summarise

CLASSES = ("a", "b", "c", "none")
THIRDS = np.array([1 / 3, 1 / 3, 1 / 3, 0])


def observed(seen: list[int] | np.ndarray, kinds: list[str] | None = None) -> Observed:
    number = len(seen)
    names = np.array(kinds or ["one"] * number, str)
    return Observed(classes=CLASSES, seen=np.array(seen, int), targets=np.tile(THIRDS, (number, 1)), kinds=names)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [([0, 1, 2], 0.0), ([0, 0, 0], 2 / 3), ([3, 3], 1.0), ([0, 0, 1, 1], 1 / 3), ([0, 1, 2, 3], 0.25)],
)
def test_total_variation(seen: list[int], expected: float) -> None:
    assert distance(observed(seen)) == pytest.approx(expected)


def test_kinds_with_fewer_choices_have_targets_of_their_own() -> None:
    mixed = Observed(
        classes=CLASSES,
        seen=np.array([0, 1, 0, 1, 2, 2]),
        targets=np.array([THIRDS] * 6) * 0 + np.array([[0.5, 0.5, 0, 0]] * 2 + [[0.25, 0.25, 0.5, 0]] * 4),
        kinds=np.array(["two"] * 2 + ["three"] * 4),
    )
    assert distance(mixed) == pytest.approx(0)
    assert distance(mixed.only("two")) == pytest.approx(0)


def test_the_interval_holds_the_value_and_chance_shrinks_with_the_clips() -> None:
    rng = np.random.default_rng(1)
    few, many = (summarise(observed(rng.choice(3, number, p=(0.6, 0.2, 0.2)))) for number in (60, 960))
    for part in (few, many):
        assert part["distance"]["low"] <= part["distance"]["value"] <= part["distance"]["high"]
        assert part["distance"]["low"] < 0.27 < part["distance"]["high"] + 0.02, "0.6 is 0.267 from a third"
    # The mean of the total variation of a uniform draw over three: sqrt(3 / (2 pi n)) * 2 / sqrt(2) of normal sums.
    assert few["chance"]["mean"] / many["chance"]["mean"] == pytest.approx(4, rel=0.1)
    assert many["chance"]["high"] < 0.04 < many["distance"]["low"]


def test_a_stereotype_of_each_kind_shows_where_the_whole_is_even() -> None:
    kinds = [f"kind {number % 30}" for number in range(300)]
    fixed = summarise(observed([number % 3 for number in range(300)], kinds))
    assert fixed["distance"]["value"] == 0 and fixed["same"]["share"] == 1
    drawn = summarise(observed(np.random.default_rng(2).integers(3, size=300), kinds))
    low, high = drawn["same by chance"]
    assert low <= drawn["same"]["share"] <= high < 0.5 and low < 1 / 3 < high


def test_nobody_seen_is_no_distribution() -> None:
    nobody = Observed(classes=CLASSES, seen=np.zeros(0, int), targets=np.zeros((0, 4)), kinds=np.zeros(0, str))
    assert summarise(nobody)["of"] == 0 and "distance" not in summarise(nobody)
