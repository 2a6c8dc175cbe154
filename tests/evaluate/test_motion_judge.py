"""The motion judge: what describes a track, and that a little training tells motions apart. About 10 seconds."""

import numpy as np
import torch

from hibari.evaluate.motion_judge import (
    FEATURES,
    MotionJudge,
    MotionTraining,
    Track,
    describe,
    train_motion_judge,
    true_tracks,
)
from hibari.evaluate.prompts import plain_world
from hibari.worlds import World

SIZES = ((128, 128), (192, 112))


def straight(scale: float = 1.0, shift: float = 0.0) -> Track:
    steps = np.linspace(0, 60, 18)
    centre = np.stack([20 + steps, np.full(18, 50.0)], 1) * scale + shift
    return Track(centre, np.full(18, 30.0 * scale), np.ones(18, bool), int(112 * scale), int(192 * scale))


def test_a_description_depends_on_neither_size_nor_place() -> None:
    plain = describe(straight())
    assert plain.shape == (FEATURES,)
    np.testing.assert_allclose(describe(straight(scale=2.0)), plain, atol=1e-9)
    np.testing.assert_allclose(describe(straight(shift=9.0)), plain, atol=1e-9)


def test_frames_that_were_not_seen_do_not_count() -> None:
    track = straight()
    track.centre[5], track.seen[5] = 999.0, False
    np.testing.assert_allclose(describe(track)[:-1], describe(straight())[:-1], atol=1e-9)


def test_what_is_hardly_seen_has_no_motion() -> None:
    track = straight()
    track.seen[2:] = False
    assert MotionJudge(("left", "right")).read(track) is None


def test_a_little_training_tells_motions_apart() -> None:
    world = plain_world(World())
    motions = world.vocabulary.motions
    torch.manual_seed(0)
    judge = MotionJudge(motions)
    train_motion_judge(judge, true_tracks(world, SIZES, 200, seed=1), MotionTraining(steps=120, batch=48))
    unseen = true_tracks(world, SIZES, 60, seed=2)
    right = sum(judge.read(track) == motions[motion] for track, motion in unseen)
    assert right >= 0.85 * len(unseen), f"{right} of {len(unseen)}"
