"""Permanence: a thing that passes behind something comes out again, as itself, on the side that it was heading to.

Right is a clip in which the object that was asked for is seen on its way, then not at all for some frames, and then
again, in the same lane, beyond where it went out of sight, still on the same way. The judge knows no props: a thing
that fades out in the open and comes back farther on counts as hidden. Legend: T frames.
"""

from dataclasses import replace

import numpy as np

from hibari.evaluate.frame_judge import NAMED
from hibari.evaluate.physics.probe import Probe, Question, Seen, in_disorder
from hibari.evaluate.prompts import held_out_scenes, plain
from hibari.shapes import VideoShape
from hibari.worlds import World

MOTION = "hides"
GONE = 0.15  # heat of the object below which nothing of it is seen
SHORTEST = 3  # frames that it is gone for, and that it is seen for before and after
MOVED = 0.05  # of the frame's width: its way before, and after
BEYOND = 0.15  # of the frame's width: how far apart it goes and comes
LANE = 0.2  # of the frame's height


def hiding(world: World) -> World:
    """The world in scenes of things that hide, whether it has others of that kind or not."""
    return World(world.pack, replace(plain(world.vocabulary), motions=(MOTION,)))


def questions(world: World, count: int, shape: VideoShape) -> list[Question]:
    """Held-out scenes of things that hide, and their captions."""
    return [Question(scene=scene, text=scene.caption) for scene in held_out_scenes(world, count, shape)]


def score(seen: Seen, question: Question) -> float:
    """1 where the thing comes out again as it should, and 0."""
    which = seen.objects.index(question.scene.labels.objects[0])
    heat_T = seen.readings.objects[:, which]
    named_T = (heat_T >= NAMED) & (seen.readings.objects.argmax(1) == which)
    start, stop = _longest(heat_T < GONE)
    before, after = np.flatnonzero(named_T[:start]), stop + np.flatnonzero(named_T[stop:])
    if min(stop - start, len(before), len(after)) < SHORTEST:
        return 0.0
    spots = seen.readings.spots[:, which]
    going, coming = spots[before], spots[after]
    way = coming[0, 0] - going[-1, 0]
    side = np.sign(way)
    return float(
        side * (going[-1, 0] - going[0, 0]) >= MOVED * seen.width
        and side * (coming[-1, 0] - coming[0, 0]) >= MOVED * seen.width
        and abs(way) >= BEYOND * seen.width
        and abs(np.median(coming[:, 1]) - np.median(going[:, 1])) <= LANE * seen.height
    )


def _longest(mask_T: np.ndarray) -> tuple[int, int]:
    """Start and stop of the longest run of true values; an empty one where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask_T.astype(int), [0]])))
    runs = [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    return max(runs, key=lambda run: run[1] - run[0], default=(0, 0))


def _in_the_open(question: Question) -> np.ndarray:
    return replace(question.scene, props=()).render()


def _never_back(question: Question) -> np.ndarray:
    """From where it is best hidden on, the clip stands still."""
    frames = question.scene.render()
    hidden = int(question.scene.truth().visibility[:, 0].argmin())
    frames[hidden:] = frames[hidden]
    return frames


def _back_where_it_came_from(question: Question) -> np.ndarray:
    frames = question.scene.render()
    hidden = int(question.scene.truth().visibility[:, 0].argmin())
    later = np.arange(len(frames)) - hidden
    back: np.ndarray = frames[np.where(later > 0, np.maximum(hidden - later, 0), np.arange(len(frames)))]
    return back


PERMANENCE = Probe(
    name="permanence",
    target=0.9,
    frames=37,
    seconds=3.0,
    binary=True,
    asks_of_each=True,
    world=hiding,
    known=lambda words: MOTION in words.motions,
    questions=questions,
    score=score,
    spoiled={
        "nothing to hide behind": _in_the_open,
        "never comes back": _never_back,
        "comes back where it went": _back_where_it_came_from,
        "frames in disorder": in_disorder,
    },
)
