"""What the frame judge learns from: frames of random scenes with their truth, at half resolution.

A bank holds frames of one size; some show an empty place. How a frame is spoiled, so that it must be rejected, is
spoiling.py's business.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hibari.evaluate.frame_judge import halve
from hibari.shapes import VideoShape
from hibari.worlds import World

FRAMES = 17  # of a scene; a few of them are kept
MOST_THINGS = 3
HIDDEN = 0.5  # below this visibility a thing is neither asked for nor forbidden
TINY = 10.0  # pixels; smaller things are neither asked for nor forbidden
ABSENT = -1


@dataclass(frozen=True)
class Bank:
    """Frames of one size: `pictures` (N, H/2, W/2, 3) uint8; per thing `names` (N, M), ABSENT where there is none,
    `boxes` (N, M, 3) x, y and longer side in pixels of the whole frame, `clear` (N, M) whether it can be asked for;
    `places` (N,) the background."""

    pictures: np.ndarray
    names: np.ndarray
    boxes: np.ndarray
    clear: np.ndarray
    places: np.ndarray

    @property
    def height(self) -> int:
        return 2 * int(self.pictures.shape[1])

    @property
    def width(self) -> int:
        return 2 * int(self.pictures.shape[2])


def draw_bank(world: World, size: tuple[int, int], scenes: int, kept: int, seed: int) -> Bank:
    """`kept` frames of each of `scenes` training scenes of (width, height), and one empty place for every five."""
    shape = VideoShape(FRAMES, size[1], size[0])
    rng = np.random.default_rng(seed)
    parts = []
    for index in range(scenes):
        parts.append(_moments(world, shape, seed * 10**6 + index, rng.choice(FRAMES, kept, replace=False)))
        if index % 5 == 0:
            parts.append(_empty(world, shape, seed * 10**6 + scenes + index))
    columns: Sequence[Callable[[Bank], np.ndarray]] = (
        lambda bank: bank.pictures,
        lambda bank: bank.names,
        lambda bank: bank.boxes,
        lambda bank: bank.clear,
        lambda bank: bank.places,
    )
    return Bank(*(np.concatenate([column(part) for part in parts]) for column in columns))


def _moments(world: World, shape: VideoShape, seed: int, chosen: np.ndarray) -> Bank:
    scene = world.scene(seed, shape)
    truth = scene.truth()
    names = np.full((len(chosen), MOST_THINGS), ABSENT)
    boxes, clear = np.zeros((len(chosen), MOST_THINGS, 3)), np.zeros((len(chosen), MOST_THINGS), bool)
    for which, name in enumerate(truth.names):
        side = truth.size[chosen, which].max(1)
        there = truth.visibility[chosen, which] > 0
        names[:, which] = np.where(there, world.vocabulary.objects.index(name), ABSENT)
        boxes[:, which, :2] = np.nan_to_num(truth.centre[chosen, which])
        boxes[:, which, 2] = side
        clear[:, which] = there & (side >= TINY) & (truth.visibility[chosen, which] >= HIDDEN)
    places = np.full(len(chosen), world.vocabulary.backgrounds.index(scene.labels.background))
    return Bank(_halved(scene.render()[chosen]), names, boxes, clear, places)


def _empty(world: World, shape: VideoShape, seed: int) -> Bank:
    """A place with nothing in it."""
    scene = replace(world.scene(seed, shape._replace(frames=1)), actors=(), props=())
    place = world.vocabulary.backgrounds.index(scene.labels.background)
    nothing = np.zeros((1, MOST_THINGS))
    return Bank(
        _halved(scene.render()),
        np.full((1, MOST_THINGS), ABSENT),
        np.zeros((1, MOST_THINGS, 3)),
        nothing.astype(bool),
        np.array([place]),
    )


def _halved(frames: np.ndarray) -> np.ndarray:
    pixels = halve(torch.from_numpy(frames).permute(0, 3, 1, 2).float())
    halved: np.ndarray = pixels.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return halved
