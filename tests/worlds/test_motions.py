"""Tracks obey their motion: directions, gravity, rolling, sizes; and things stay on the stage. About a second."""

import numpy as np
import pytest

from hibari.worlds.motions import MOTIONS, Body, Stage, Track, fall_height

STAGE = Stage(frames=25, fps=12, left=0, top=0, right=192, bottom=112)
BODY = Body(0.5, 0.4, 50)
PLANNED = [name for name, motion in MOTIONS.items() if motion.plan]


def plan(name: str, seed: int = 0, stage: Stage = STAGE, body: Body = BODY) -> Track:
    planner = MOTIONS[name].plan
    assert planner is not None
    return planner(np.random.default_rng(seed), stage, body)


@pytest.mark.parametrize("name", PLANNED)
@pytest.mark.parametrize("frames", [1, 5, 17, 61])
@pytest.mark.parametrize("size", [(128, 128), (112, 192), (192, 112)])
def test_things_stay_on_the_stage(name: str, frames: int, size: tuple[int, int]) -> None:
    stage = Stage(frames=frames, fps=12, left=0, top=0, right=size[0], bottom=size[1])
    for seed in range(8):
        way = plan(name, seed, stage)
        assert way.x.shape == way.y.shape == way.size.shape == (frames,)
        half_x, half_y = BODY.half_width * way.size, BODY.half_height * way.size
        assert (way.x - half_x >= -0.01).all() and (way.x + half_x <= stage.right + 0.01).all()
        assert (way.y - half_y >= -0.01).all() and (way.y + half_y <= stage.bottom + 0.01).all()


@pytest.mark.parametrize(
    ("name", "axis", "sign"), [("left", "x", -1), ("right", "x", 1), ("up", "y", -1), ("down", "y", 1)]
)
def test_ways_are_straight_steady_and_long_enough_to_see(name: str, axis: str, sign: int) -> None:
    for seed in range(20):
        way = plan(name, seed)
        along, across = (way.x, way.y) if axis == "x" else (way.y, way.x)
        steps = np.diff(along) * sign
        assert (steps > 0).all() and np.ptp(steps) < 1e-9 and np.ptp(across) == 0
        assert abs(along[-1] - along[0]) > 0.3 * (STAGE.width if axis == "x" else STAGE.height)


def test_a_fall_is_a_parabola_and_a_bounce_loses_speed() -> None:
    seconds, gravity, restitution = np.linspace(0, 3, 3001), 400.0, 0.8
    up = fall_height(seconds, 50.0, gravity, restitution)
    landing = np.sqrt(2 * 50 / gravity)
    free = seconds < landing
    assert np.allclose(up[free], 50 - gravity / 2 * seconds[free] ** 2)
    peaks = [up[i] for i in range(1, 3000) if up[i - 1] < up[i] >= up[i + 1]]
    assert np.allclose(peaks[:4], 50 * restitution ** (2 * np.arange(1, 5)), rtol=1e-3), (
        "height goes with speed squared"
    )
    second = (seconds > landing) & (seconds < landing + 2 * restitution * landing)
    bend = np.diff(up[second], 2) / (seconds[1] - seconds[0]) ** 2
    assert np.allclose(bend, -gravity, rtol=1e-3)


def test_bouncing_follows_gravity_between_two_landings() -> None:
    stage = Stage(frames=241, fps=120, left=0, top=0, right=192, bottom=112)
    way = plan("bounces", 3, stage)
    bend = np.diff(way.y, 2) * stage.fps**2
    usual = float(np.median(bend))
    assert usual > 0 and np.mean(np.isclose(bend, usual, rtol=1e-3)) > 0.9
    assert np.isclose(np.diff(way.x), np.diff(way.x)[0]).all(), "nothing pushes it sideways"


def test_rolling_turns_as_far_as_it_goes() -> None:
    way = plan("rolls", 1)
    radius = BODY.half_height * BODY.size
    assert np.allclose(np.diff(way.angle) * radius, np.diff(way.x))


def test_circles_are_round_and_nearly_whole() -> None:
    for seed in range(10):
        way = plan("circles", seed, Stage(frames=400, fps=300, left=0, top=0, right=128, bottom=128))
        centre = (way.x.max() + way.x.min()) / 2, (way.y.max() + way.y.min()) / 2
        turn = np.unwrap(np.arctan2(way.y - centre[1], way.x - centre[0]))
        assert abs(turn[-1] - turn[0]) > 1.4 * np.pi
        assert way.detail == ("clockwise" if turn[-1] > turn[0] else "counterclockwise")


def test_sizes_change_as_they_should() -> None:
    assert plan("grows").size[-1] > 2 * plan("grows").size[0]
    assert plan("shrinks").size[0] > 2 * plan("shrinks").size[-1]
    way = plan("appears")
    assert way.opacity[0] == 0 and way.size[0] == 0 and way.opacity[-1] == 1 and way.size[-1] == BODY.size
    assert np.ptp(plan("still").x) == 0
