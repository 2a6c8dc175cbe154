"""The world: vocabularies are held to, shapes and rates vary, held-out triples are kept apart. About 4 seconds."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hibari.errors import HibariError, InvalidRequest
from hibari.shapes import VideoShape
from hibari.worlds import STARTER, SpritePack, World, whole
from hibari.worlds.split import is_held_out

CLIP = VideoShape(17, 128, 128)
STARTER_WORLD = World()


@pytest.mark.parametrize("held_out", [False, True])
def test_only_one_side_of_the_split_comes_up(held_out: bool) -> None:
    for seed in range(300):
        labels = STARTER_WORLD.scene(seed, CLIP, held_out=held_out).labels
        for thing, motion in zip(labels.objects, labels.motions, strict=True):
            assert is_held_out(thing, motion, labels.background) == held_out


def test_the_starter_is_mostly_one_still_camera_thing() -> None:
    labels = [STARTER_WORLD.scene(seed, CLIP).labels for seed in range(400)]
    assert 0.85 < np.mean([len(each.objects) == 1 for each in labels]) < 0.95
    assert {each.camera for each in labels} == {"still"} and {each.weather for each in labels} == {"clear"}
    assert {thing for each in labels for thing in each.objects} == set(STARTER.objects)
    assert {motion for each in labels for motion in each.motions} == set(STARTER.motions)
    assert {each.background for each in labels} == set(STARTER.backgrounds)


@pytest.mark.parametrize(
    "shape",
    [
        VideoShape(1, 96, 96),
        VideoShape(5, 112, 192),
        VideoShape(17, 192, 112),
        VideoShape(13, 96, 160),
        VideoShape(9, 512, 512),
        VideoShape(61, 96, 144),
    ],
)
def test_all_shapes(shape: VideoShape) -> None:
    pack = SpritePack.load()
    world = World(pack, whole(pack))
    for seed in range(4):
        scene = world.scene(seed, shape)
        assert scene.render().shape == (*shape, 3)
        assert scene.truth().centre.shape == (shape.frames, len(scene.labels.objects), 2)


def test_the_whole_world_has_it_all() -> None:
    pack = SpritePack.load()
    words = whole(pack)
    world = World(pack, words)
    labels = [world.scene(seed, CLIP).labels for seed in range(600)]
    assert {len(each.objects) for each in labels} == {1, 2, 3}
    assert {each.layout for each in labels} == {"single", "beside", "stacked", "collision"}
    assert {each.camera for each in labels} == {"still", *words.cameras}
    assert {each.weather for each in labels} == {"clear", *words.weathers}
    assert {motion for each in labels for motion in each.motions} == {*words.motions, "collides"}
    assert all(("hides" in each.motions) == bool(each.props) for each in labels)


@pytest.mark.parametrize(("layout", "axis"), [("beside", 0), ("stacked", 1)])
def test_layouts_are_true_in_every_frame(layout: str, axis: int) -> None:
    pack = SpritePack.load()
    world = World(pack, replace(whole(pack), counts=(0.0, 0.6, 0.4), moving_camera=0.3))
    for seed in range(30):
        scene = world.scene(seed, VideoShape(17, 96, 96))
        if scene.labels.layout == layout:
            centres = scene.truth().centre[..., axis]
            for one, other in pairwise(range(centres.shape[1])):
                gaps = centres[:, other] - centres[:, one]
                assert (gaps[~np.isnan(gaps)] > 0).all()


def test_a_double_rate_shows_the_same_second_twice_as_finely() -> None:
    scene = STARTER_WORLD.scene(11, VideoShape(33, 96, 96), fps=24)
    assert scene.fps == 24
    poses = scene.actors[0].pose
    assert len(set(poses.tolist())) in (1, 17), "the sprite's own animation keeps its speed"


def test_bad_vocabularies_and_shapes_are_refused() -> None:
    with pytest.raises(HibariError, match='No object "sea monster"'):
        World(vocabulary=replace(STARTER, objects=("sea monster",)))
    with pytest.raises(HibariError, match='No motion "teleports"'):
        World(vocabulary=replace(STARTER, motions=("teleports",)))
    with pytest.raises(HibariError, match='No background "moon"'):
        World(vocabulary=replace(STARTER, backgrounds=("moon",)))
    with pytest.raises(InvalidRequest, match="cannot be drawn"):
        STARTER_WORLD.scene(0, VideoShape(17, 8, 128))
    with pytest.raises(HibariError, match="No motion"):
        World(vocabulary=replace(STARTER, motions=("bounces",))).scene(0, VideoShape(5, 96, 96))
    alone = replace(STARTER, objects=("panda",), motions=("still",), backgrounds=("sky",), counts=(1.0,))
    with pytest.raises(HibariError, match="held-out"):
        World(vocabulary=alone).scene(0, CLIP, held_out=not is_held_out("panda", "still", "sky") or True)


def test_chances_follow_the_weights() -> None:
    words = replace(STARTER, weights=(0.5, *(0.5 / 23,) * 23), counts=(1.0,))
    world = World(vocabulary=words)
    share = np.mean([world.scene(seed, CLIP).labels.objects[0] == STARTER.objects[0] for seed in range(300)])
    assert 0.38 < share < 0.62
