"""Two things and where they stand to each other, as the world's captions tell it: left of, right of, above, below.

Right is a clip in which both things are seen under their own names, and stand as the sentence says in the middle of the
frames that show both.
"""

import re
from dataclasses import replace

import numpy as np

from hibari.evaluate.frame_judge import NAMED
from hibari.evaluate.physics.probe import Probe, Question, Seen
from hibari.evaluate.prompts import plain
from hibari.shapes import VideoShape
from hibari.worlds import Scene, World
from hibari.worlds.words import RELATIONS, RELATIONS_BACK, SYNONYMS

TELLINGS = 200  # of a scene, of which every second or third tells the relation
SHARE = 0.25  # of the frames, in which each thing must be named: one that grows is too small at first
TOGETHER = 3  # frames that must show both
WORDS = frozenset(  # which a model's captions used if it saw two things at all
    word
    for table in (RELATIONS, RELATIONS_BACK)
    for phrases in table.values()
    for phrase in phrases
    for word in phrase.split()
)


def of_two(world: World) -> World:
    """The world in scenes of two things that are beside or above each other, whether it has others or not."""
    return World(world.pack, replace(plain(world.vocabulary), counts=(0.0, 1.0), collisions=0.0))


def questions(world: World, count: int, shape: VideoShape) -> list[Question]:
    """Held-out scenes of two things, each with the first of its captions that tells how they stand."""
    return [_question(world, seed, shape) for seed in range(count)]


def _question(world: World, seed: int, shape: VideoShape) -> Question:
    for telling in range(TELLINGS):
        scene = world.scene(seed, shape, held_out=True, telling=telling)
        if tells(scene):
            return Question(scene=scene, text=scene.caption)
    raise AssertionError(f"no caption of scene {seed} tells its relation")


def tells(scene: Scene) -> bool:
    """Whether the caption says how the two things stand: "over the sea" does not, "over a red crab" does."""
    names = [name for thing in scene.labels.objects for name in (thing, *SYNONYMS.get(thing, ()))]
    relations = RELATIONS[scene.labels.layout] + RELATIONS_BACK[scene.labels.layout]
    form = rf"\b({'|'.join(relations)}) (an? |the )?(\w+ )?({'|'.join(map(re.escape, names))})\b"
    return re.search(form, scene.caption) is not None


def score(seen: Seen, question: Question) -> float:
    """1 where both things are there and stand as asked, and 0."""
    first, second = (seen.objects.index(name) for name in question.scene.labels.objects)
    named = seen.readings.objects >= NAMED
    both = named[:, first] & named[:, second]
    if min(named[:, first].mean(), named[:, second].mean()) < SHARE or both.sum() < TOGETHER:
        return 0.0
    axis = 0 if question.scene.labels.layout == "beside" else 1
    apart = seen.readings.spots[both, second, axis] - seen.readings.spots[both, first, axis]
    return float(np.median(apart) > 0)


def _changed_places(question: Question) -> np.ndarray:
    """Both halves of every frame in each other's place, and with them the things."""
    frames, axis = question.scene.render(), 2 if question.scene.labels.layout == "beside" else 1
    return np.roll(frames, frames.shape[axis] // 2, axis=axis)


def _one_of_them(question: Question) -> np.ndarray:
    return replace(question.scene, actors=question.scene.actors[:1]).render()


RELATION = Probe(
    name="relation",
    target=0.85,
    frames=21,
    seconds=1.5,
    binary=True,
    asks_of_each=True,
    world=of_two,
    known=lambda words: words.words >= WORDS,
    questions=questions,
    score=score,
    spoiled={"in each other's place": _changed_places, "one of them alone": _one_of_them},
)
