"""Fall and bounce: the law is found, tells what it was not fitted to, and tells nothing else. About 8 seconds."""

import numpy as np
import pytest

from hibari.evaluate.judges import Judges
from hibari.evaluate.physics.bounces import BOUNCES, fit, r_squared
from hibari.evaluate.physics.probe import own_scores
from hibari.worlds import World
from hibari.worlds.motions import fall_height

SECONDS = np.arange(24) / 12


@pytest.mark.parametrize(
    ("height", "drop", "kept", "begins"), [(60, 0.4, 0.85, 0.0), (30, 0.33, 0.95, 0.6), (50, 0.5, 0.6, 0.3)]
)
def test_the_law_of_a_fall_is_found(height: float, drop: float, kept: float, begins: float) -> None:
    gravity = 2 * height / drop**2
    rows = 90 - fall_height(SECONDS + begins, height, gravity, kept)
    law = fit(SECONDS, rows)
    assert np.abs(law.at(SECONDS) - rows).max() < 0.7, "of a pixel"
    assert law.gravity == pytest.approx(gravity, rel=0.03) and law.ground == pytest.approx(90, abs=0.5)
    assert law.kept == pytest.approx(kept, abs=0.02) and r_squared(SECONDS, rows) > 0.995


def test_a_judges_error_of_a_pixel_costs_little() -> None:
    rows = 90 - fall_height(SECONDS, 50, 625, 0.85) + np.random.default_rng(0).normal(0, 1, 24)
    assert r_squared(SECONDS, rows) > 0.97


def test_other_tracks_are_told_badly() -> None:
    rng, turns = np.random.default_rng(1), SECONDS / 0.9
    rows = 90 - fall_height(SECONDS, 50, 625, 0.85)
    assert r_squared(SECONDS, np.linspace(20, 90, 24)) < 0.2, "steadily down"
    assert r_squared(SECONDS, np.linspace(90, 20, 24)) < 0.2, "steadily up"
    assert np.mean([r_squared(SECONDS, rng.permutation(rows)) for _ in range(10)]) < 0.1, "in disorder"
    assert r_squared(SECONDS, 110 - rows) < 0.5, "falling up"
    assert r_squared(SECONDS, 50 + 30 * np.abs((turns % 1) * 2 - 1)) < 0.95, "at one speed: below the target"


def test_real_clips_follow_the_law_and_spoiled_ones_do_not() -> None:
    scores = own_scores(BOUNCES, Judges.load().frames, BOUNCES.asked(World(), 6))
    assert scores["real clips"]["mean"] > 0.95
    assert scores["steadily down"]["mean"] < 0.2 and scores["frames in disorder"]["mean"] < 0.2
    assert scores["up and down without gravity"]["high"] < 0.95
