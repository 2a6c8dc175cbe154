"""Collisions keep momentum and energy, and always happen. About 2 seconds."""

import numpy as np
import pytest

from hibari.worlds.collisions import HEAVY_AS, plan, simulate
from hibari.worlds.motions import Body, Stage

WIDE = Stage(frames=25, fps=12, left=-500, top=-500, right=500, bottom=500)


def test_two_equal_discs_swap_their_speeds() -> None:
    place = np.array([[40.0, 56.0], [150.0, 56.0]])
    speed = np.array([[60.0, 0.0], [-30.0, 0.0]])
    _, speeds, met = simulate(place, speed, np.array([15.0, 15.0]), WIDE)
    assert met == 1
    assert np.allclose(speeds[-1], [[-30, 0], [60, 0]])


def test_momentum_and_energy_stay() -> None:
    radius = np.array([10.0, 20.0])
    mass = radius**HEAVY_AS
    place = np.array([[60.0, 50.0], [130.0, 60.0]])
    speed = np.array([[70.0, 5.0], [-20.0, -3.0]])
    _, speeds, met = simulate(place, speed, radius, WIDE)
    assert met == 1 and not np.allclose(speeds[0], speeds[-1])
    assert np.allclose((mass[:, None] * speeds[0]).sum(0), (mass[:, None] * speeds[-1]).sum(0))
    assert np.isclose((mass * (speeds[0] ** 2).sum(1)).sum(), (mass * (speeds[-1] ** 2).sum(1)).sum())


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("size", [(128, 128), (112, 192), (192, 112)])
def test_planned_things_meet_and_stay_on_the_stage(number: int, size: tuple[int, int]) -> None:
    stage = Stage(frames=17, fps=12, left=0, top=0, right=size[0], bottom=size[1])
    for seed in range(6):
        bodies = [Body(0.5, 0.5, 34) for _ in range(number)]
        tracks = plan(np.random.default_rng(seed), stage, bodies)
        for way in tracks:
            assert way.x.min() > 5 and way.x.max() < size[0] - 5 and way.y.min() > 5 and way.y.max() < size[1] - 5
        turned = [np.abs(np.diff(way.x, 2)).max() + np.abs(np.diff(way.y, 2)).max() for way in tracks]
        assert sum(turn > 0.5 for turn in turned) >= 2, "at least two change their way"
