"""Fall and bounce: how well one ballistic law tells where a thing is, measured as R squared.

The law: under one gravity g a thing flies from bounce to bounce on flat ground, and each bounce keeps the share e of
its speed. So its height is a chain of parabolas of one curvature, each of e times the flight of the one before: five
numbers (ground, g, e, when the first bounce is, how long the flight after it) for a whole track. The clip may begin
anywhere in the arc before the first bounce. These times and e are bound (IMPACT, FLIGHT, KEPT), so that a bounce lies
in the clip's first second: otherwise a thing that is moved steadily would be the end of a very long fall.

The law is fitted to every other frame and scored on those between, both ways round: R^2 = 1 - sum of squares that are
left / sum of squares around the mean, never below 0. Five numbers can be laid through some disorder, but do not tell
the frames between. A thing that hardly moves, or is seen in too few frames, gets 0.
Legend: T frames, G laws of a grid.
"""

from dataclasses import dataclass, replace

import numpy as np

from hibari.evaluate.judges import track_of
from hibari.evaluate.physics.probe import Probe, Question, Seen, in_disorder
from hibari.evaluate.prompts import held_out_scenes, plain
from hibari.shapes import VideoShape
from hibari.worlds import World

MOTION = "bounces"
IMPACT, FLIGHT, KEPT = (0.0, 1.0), (0.3, 1.2), (0.5, 1.0)  # seconds, seconds, and a share of speed
GRID = (25, 19, 6)  # laws that are tried first: as many impacts, flights and shares kept
ROUNDS = 5  # of ever finer laws around the best one
ARCS = 12  # after the first bounce; what comes later is too low to see
SEEN = 2 / 3  # of the frames, in which the thing must be found
LEAST = 0.15  # of the frame's height: what moves less up and down has not bounced


@dataclass(frozen=True)
class Law:
    """Where a bouncing thing is: `ground` in pixels, `gravity` in pixels per second squared, the first bounce after
    `impact` seconds, a `flight` of so many seconds after it, and the share of its speed `kept` by every bounce."""

    ground: float
    gravity: float
    impact: float
    flight: float
    kept: float

    def at(self, seconds_T: np.ndarray) -> np.ndarray:
        """The rows (T,) of its centre in pixels."""
        one = _heights(seconds_T, *(np.array([value]) for value in (self.impact, self.flight, self.kept)))
        rows: np.ndarray = self.ground - self.gravity * one[0]
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
    """The law with the least squares: ground and gravity are solved for, the others tried, first widely, then near."""
    low, high = np.array([IMPACT, FLIGHT, KEPT]).T
    axes = [np.linspace(a, b, n) for a, b, n in zip(low, high, GRID, strict=True)]
    step = np.array([axis[1] - axis[0] for axis in axes])
    law = _best(axes, seconds_T, rows_T)
    for _ in range(ROUNDS):
        step = step / 2
        near = np.array([law.impact, law.flight, law.kept]) + step * np.arange(-2, 3)[:, None]
        law = _best(list(np.clip(near, low, high).T), seconds_T, rows_T)
    return law


def _best(axes: list[np.ndarray], seconds_T: np.ndarray, rows_T: np.ndarray) -> Law:
    """The best law of a grid of impacts, flights and shares kept."""
    times_3G = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
    impact, flight, kept = times_3G
    times_3G = times_3G[:, impact <= flight / kept]  # the clip begins in the arc before the first bounce
    heights_GT = _heights(seconds_T, *times_3G)
    around_GT, rows = heights_GT - heights_GT.mean(1, keepdims=True), rows_T - rows_T.mean()
    gravity_G = np.maximum(-(around_GT @ rows) / np.maximum(np.square(around_GT).sum(1), 1e-12), 0.0)
    left_G = np.square(rows + gravity_G[:, None] * around_GT).sum(1)
    best = int(left_G.argmin())
    gravity = float(gravity_G[best])
    return Law(float(rows_T.mean() + gravity * heights_GT[best].mean()), gravity, *map(float, times_3G[:, best]))


def _heights(seconds_T: np.ndarray, impact_G: np.ndarray, flight_G: np.ndarray, kept_G: np.ndarray) -> np.ndarray:
    """Heights (G, T) under a gravity of 1."""
    since, flight, kept = seconds_T - impact_G[:, None], flight_G[:, None], kept_G[:, None]
    heights = np.where(since < 0, (since + flight / kept) * -since / 2, 0.0)
    start = np.zeros_like(flight)
    for _ in range(ARCS):
        within = since - start
        heights = np.where((within >= 0) & (within < flight), within * (flight - within) / 2, heights)
        start, flight = start + flight, flight * kept
    return heights


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
        "frames in disorder": in_disorder,
    },
)
