"""Scenes: the same seed gives the same pixels, and the truth is where the pixels are. About 5 seconds."""

from dataclasses import replace

import numpy as np
import pytest

from hibari.shapes import VideoShape
from hibari.worlds import STARTER, Scene, World
from hibari.worlds.backgrounds import PLACES
from hibari.worlds.motions import MOTIONS

SHAPE = VideoShape(17, 96, 128)


def world(*, objects: tuple[str, ...], motions: tuple[str, ...]) -> World:
    """Few words, one thing at a time, on colours that the thing does not have."""
    plain = ("plain green", "plain blue", "plain turquoise")
    return World(vocabulary=replace(STARTER, objects=objects, motions=motions, backgrounds=plain, counts=(1.0,)))


def empty(scene: Scene) -> np.ndarray:
    """The scene's frames with nobody in them."""
    return replace(scene, actors=(), props=()).render()


def drawn_box(frame: np.ndarray, behind: np.ndarray) -> tuple[float, float, float, float]:
    """Centre and size of what was drawn over a picture, from the pixels alone."""
    mask = np.abs(frame.astype(int) - behind).max(-1) > 40
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


@pytest.mark.parametrize("motion", [name for name in MOTIONS if name not in ("hides", "collides", "appears")])
def test_truth_is_where_the_pixels_are(motion: str) -> None:
    # A pumpkin has no green in it, and no thin or faint parts.
    scene = world(objects=("pumpkin",), motions=(motion,)).scene(5, SHAPE)
    frames, behind, truth = scene.render(), empty(scene), scene.truth()
    for index in range(SHAPE.frames):
        x, y, width, height = drawn_box(frames[index], behind[index])
        assert abs(truth.centre[index, 0] - (x, y)).max() <= 1, (index, truth.centre[index], x, y)
        assert abs(truth.size[index, 0] - (width, height)).max() <= 2
        assert truth.visibility[index, 0] > 0.98
    assert truth.names == ("pumpkin",)


def test_the_same_seed_is_the_same_clip_and_another_is_not() -> None:
    first, again, other = (World(vocabulary=STARTER).scene(seed, SHAPE) for seed in (7, 7, 8))
    assert first.caption == again.caption and first.labels == again.labels
    assert (first.render() == again.render()).all() and (first.render() == first.render()).all()
    assert (first.render() != other.render()).any()
    assert first.clip().fps == 12 and first.clip().caption == first.caption


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_renders_in_every_place(motion: str) -> None:
    shape = VideoShape(13, 48, 64)
    several = motion == "collides"
    for place in PLACES:
        words = replace(
            STARTER,
            objects=STARTER.objects[:4] if several else STARTER.objects,
            motions=(motion,),
            backgrounds=(place,),
            counts=(0.0, 1.0) if several else (1.0,),
            collisions=1.0,
        )
        scene = World(vocabulary=words).scene(1, shape)
        frames = scene.render()
        assert frames.shape == (13, 48, 64, 3) and scene.labels.motions[0] == motion
        assert (frames[-1] != empty(scene)[-1]).any(), "the thing is there at the end"


def test_things_pass_wholly_behind_and_come_out_again() -> None:
    scene = world(objects=("octopus",), motions=("hides",)).scene(2, VideoShape(25, 128, 128))
    seen = scene.truth().visibility[:, 0]
    assert seen[0] > 0.95 and seen[-1] > 0.95 and seen.min() < 0.03
    assert (np.diff(np.flatnonzero(seen < 0.5)) == 1).all(), "hidden once"
    hidden = int(seen.argmin())
    alone = replace(scene, actors=())
    assert (scene.render()[hidden] == alone.render()[hidden]).mean() > 0.99, "behind the prop there is only the prop"


def test_what_is_in_front_hides_what_is_behind() -> None:
    base = world(objects=("pumpkin", "octopus"), motions=("still",))
    words = replace(base.vocabulary, counts=(0.0, 1.0))
    scene = World(vocabulary=words).scene(1, VideoShape(1, 128, 128))
    back, front = scene.actors
    over = replace(front, track=replace(front.track, x=back.track.x, y=back.track.y))
    truth = replace(scene, actors=(back, over)).truth()
    assert truth.visibility[0, 1] > 0.99 and truth.visibility[0, 0] < 0.5
    half = replace(front, track=replace(front.track, x=front.track.x * 0 + 128.0))
    cut = replace(scene, actors=(half,), labels=replace(scene.labels, objects=("octopus",))).truth()
    assert 0.35 < cut.visibility[0, 0] < 0.65, "half of it is outside the frame"
    assert abs(cut.centre[0, 0, 0] - 128) < 3


def test_before_it_appears_a_thing_is_nowhere() -> None:
    truth = world(objects=("octopus",), motions=("appears",)).scene(0, SHAPE).truth()
    assert truth.visibility[0, 0] == 0 and np.isnan(truth.centre[0, 0]).all() and truth.visibility[-1, 0] > 0.98


def test_truth_follows_the_camera() -> None:
    words = world(objects=("pumpkin",), motions=("still",)).vocabulary
    for camera in ("zoom in", "pan left"):
        scene = World(vocabulary=replace(words, cameras=(camera,), moving_camera=1.0)).scene(4, SHAPE)
        assert scene.labels.camera == camera
        frames, behind, truth = scene.render(), empty(scene), scene.truth()
        for index in (0, 8, 16):
            x, y, *_ = drawn_box(frames[index], behind[index])
            assert abs(truth.centre[index, 0] - (x, y)).max() <= 1
