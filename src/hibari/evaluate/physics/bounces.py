"""Fall and bounce: how well one ballistic law tells where a thing is, measured as R squared.

The law: dropped from rest at a height H above flat ground, it falls under one gravity g, and each bounce keeps the
share e of the speed; the clip may begin anywhere in the fall or the first arc. So the height is a chain of parabolas of
one curvature that touch the ground: five numbers (ground, H, g, e, beginning) for a whole track. g is told by the time
that the fall takes, which is bound to DROP, and e to KEPT, so that at least one bounce lies in two seconds: otherwise
a thing that is moved steadily would be the end of a very long fall.

The law is fitted to every other frame and scored on those between, both ways round: R^2 = 1 - sum of squares that are
left / sum of squares around the mean, never below 0. Five numbers can be laid through some disorder, but do not tell
the frames between. A thing that hardly moves, or is seen in too few frames, gets 0.
Legend: T frames, G laws.
"""

from dataclasses import dataclass, replace

import numpy as np

from hibari.evaluate.judges import track_of
from hibari.evaluate.physics.probe import Probe, Question, Seen
from hibari.evaluate.prompts import held_out_scenes, plain
from hibari.shapes import VideoShape
from hibari.worlds import World
from hibari.worlds.motions import fall_height

MOTION = "bounces"
DROP, KEPT = (0.2, 0.7), (0.5, 1.0)  # seconds of the fall, and the share of its speed that a bounce leaves
GRID = (21, 6, 24)  # laws that are tried first: times of the fall, shares kept, beginnings
ROUNDS = 4  # of ever finer laws around the best one
SEEN = 2 / 3  # of the frames, in which the thing must be found
LEAST = 0.15  # of the frame's height: what moves less up and down has not bounced


@dataclass(frozen=True)
class Law:
    """Where a bouncing thing is: `ground` and `height` in pixels, `drop` seconds of the fall, `kept` speed, and where
    in the fall and the first arc the clip begins, as a share of their time."""

    ground: float
    height: float
    drop: float
    kept: float
    begins: float

    def at(self, seconds_T: np.ndarray) -> np.ndarray:
        """The rows (T,) of its centre in pixels."""
        one = _heights(seconds_T, *(np.array([value]) for value in (self.drop, self.kept, self.begins)))
        rows: np.ndarray = self.ground - self.height * one[0]
        return rows


def bouncing(world: World) -> World:
    """The world in scenes of things that bounce, whether it has others of that kind or not."""
    return World(world.pack, replace(plain(world.vocabulary), motions=(MOTION,)))


def questions(world: World, count: int, shape: VideoShape) -> list[Question]:
    """Held-out scenes of things that bounce, and their captions."""
    return [Question(scene=scene, text=scene.caption) for scene in held_out_scenes(world, count, shape)]


def score(seen: Seen, _: Question) -> float:
    """R squared of the surest thing's track, whatever thing it is."""
    track = track_of(seen.readings, seen.height, seen.width)
    seconds_T, rows_T = np.flatnonzero(track.seen) / seen.fps, track.centre[track.seen, 1]
    if track.seen.mean() < SEEN or np.ptp(rows_T) < LEAST * seen.height:
        return 0.0
    return r_squared(seconds_T, rows_T)


def r_squared(seconds_T: np.ndarray, rows_T: np.ndarray) -> float:
    """How much of a track's rows the law tells, fitted to every other frame and scored on those between; 0 to 1."""
    left = 0.0
    for first in (0, 1):
        law = fit(seconds_T[first::2], rows_T[first::2])
        left += float(np.square(law.at(seconds_T[1 - first :: 2]) - rows_T[1 - first :: 2]).sum())
    return max(0.0, 1 - left / float(np.square(rows_T - rows_T.mean()).sum()))


def fit(seconds_T: np.ndarray, rows_T: np.ndarray) -> Law:
    """The law with the least squares: ground and height are solved for, the others tried, first widely, then near."""
    low, high = np.array([DROP[0], KEPT[0], 0.0]), np.array([DROP[1], KEPT[1], 1.0])
    axes = [np.linspace(a, b, n, endpoint=a > 0) for a, b, n in zip(low, high, GRID, strict=True)]
    step = np.array([axis[1] - axis[0] for axis in axes])
    law, shape = _best(axes, seconds_T, rows_T)
    for _ in range(ROUNDS):
        step = step / 2
        near = shape + step * np.arange(-2, 3)[:, None]
        law, shape = _best(list(np.clip(near, low, high).T), seconds_T, rows_T)
    return law


def _best(axes: list[np.ndarray], seconds_T: np.ndarray, rows_T: np.ndarray) -> tuple[Law, np.ndarray]:
    """The best law of a grid, and its drop, share kept and beginning."""
    shapes_3G = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
    heights_GT = _heights(seconds_T, *shapes_3G)
    around_GT, rows = heights_GT - heights_GT.mean(1, keepdims=True), rows_T - rows_T.mean()
    spread_G = np.maximum(np.square(around_GT).sum(1), 1e-12)
    height_G = np.maximum(-(around_GT @ rows) / spread_G, 0.0)
    left_G = np.square(rows + height_G[:, None] * around_GT).sum(1)
    best = int(left_G.argmin())
    height = float(height_G[best])
    ground = float(rows_T.mean() + height * heights_GT[best].mean())
    return Law(ground, height, *map(float, shapes_3G[:, best])), shapes_3G[:, best]


def _heights(seconds_T: np.ndarray, drop_G: np.ndarray, kept_G: np.ndarray, begins_G: np.ndarray) -> np.ndarray:
    """Heights (G, T) of things dropped from a height of 1."""
    since_G = begins_G * drop_G * (1 + 2 * kept_G)
    return fall_height(seconds_T + since_G[:, None], 1.0, (2 / drop_G**2)[:, None], kept_G[:, None])


def _moving(question: Question, rows_T: np.ndarray) -> np.ndarray:
    """The scene's thing in other rows, told as shares of its own way from top to bottom."""
    scene, (actor,) = question.scene, question.scene.actors
    top, bottom = actor.track.y.min(), actor.track.y.max()
    track = replace(actor.track, y=top + rows_T * (bottom - top))
    return replace(scene, actors=(replace(actor, track=track),)).render()


def _steadily(question: Question) -> np.ndarray:
    return _moving(question, np.linspace(0, 1, question.scene.shape.frames))


def _without_gravity(question: Question) -> np.ndarray:
    """To and fro at one speed."""
    turns = np.arange(question.scene.shape.frames) / question.scene.fps / 0.9
    return _moving(question, np.abs((turns % 1) * 2 - 1))


def _in_disorder(question: Question) -> np.ndarray:
    order = np.random.default_rng(question.scene.seed).permutation(question.scene.shape.frames)
    shuffled: np.ndarray = question.scene.render()[order]
    return shuffled


BOUNCES = Probe(
    name="bounces",
    target=0.95,
    frames=25,
    seconds=2.0,
    binary=False,
    asks_of_each=False,
    world=bouncing,
    known=lambda words: MOTION in words.motions,
    questions=questions,
    score=score,
    spoiled={
        "steadily down": _steadily,
        "up and down without gravity": _without_gravity,
        "frames in disorder": _in_disorder,
    },
)
