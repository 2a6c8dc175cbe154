"""One measure of physics: what is asked, how the judge's readings are scored, and clips that must score low.

Scores of real clips are the judge's own; those of spoiled clips say what the score is worth.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hibari.catalog.world import World as Words
from hibari.evaluate.frame_judge import FrameJudge, Readings
from hibari.evaluate.intervals import Mean, Share
from hibari.evaluate.prompts import RENDERED, Prompt
from hibari.shapes import VideoShape
from hibari.worlds import Scene, World


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the judge read in a clip of `height` by `width` pixels at `fps`; `objects` are the judge's names."""

    readings: Readings
    objects: tuple[str, ...]
    height: int
    width: int
    fps: float


@dataclass(frozen=True, kw_only=True)
class Question:
    """A held-out scene, and the sentence that asks a model for such a one."""

    scene: Scene
    text: str

    @property
    def prompt(self) -> Prompt:
        """What a maker is given."""
        labels = self.scene.labels
        return Prompt(
            seed=self.scene.seed,
            text=self.text,
            object=labels.objects[0],
            motion=labels.motions[0],
            background=labels.background,
        )


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A measure. `score` gives 0 to 1 for what was seen of a question; `binary`: it is only ever 0 or 1.

    `frames` are rendered, 4n+1, of which those of `seconds` are judged. `world` makes one of such scenes, and `known`
    says whether a model has seen such. `spoiled` clips must score low. `asks_of_each`: a clip held against another's
    question must score low too.
    """

    name: str
    target: float
    frames: int
    seconds: float
    binary: bool
    asks_of_each: bool
    world: Callable[[World], World]
    known: Callable[[Words], bool]
    questions: Callable[[World, int, VideoShape], list[Question]]
    score: Callable[[Seen, Question], float]
    spoiled: Mapping[str, Callable[[Question], np.ndarray]]

    def asked(self, world: World, count: int) -> list[Question]:
        """The first questions about any world, seeds in order."""
        return self.questions(self.world(world), count, RENDERED._replace(frames=self.frames))

    def summarise(self, scores: Sequence[float]) -> dict[str, Any]:
        """The share that is right, or the mean score, with its 95% interval."""
        if self.binary:
            share = Share(round(sum(scores)), len(scores))
            low, high = share.interval
            return Mean(share.value, low, high, len(scores)).as_dict()
        return Mean.of(scores).as_dict()


def in_disorder(question: Question) -> np.ndarray:
    """The frames of a real clip in another order."""
    frames = question.scene.render()
    shuffled: np.ndarray = frames[np.random.default_rng(question.scene.seed).permutation(len(frames))]
    return shuffled


def look(judge: FrameJudge, frames: np.ndarray, fps: float, seconds: float) -> Seen:
    """What the judge sees in the first seconds of a clip."""
    kept = frames[: round(seconds * fps)]
    height, width = kept.shape[1:3]
    return Seen(readings=judge.read(kept), objects=judge.config.objects, height=height, width=width, fps=fps)


def own_scores(probe: Probe, judge: FrameJudge, questions: Sequence[Question]) -> dict[str, dict[str, Any]]:
    """What the judge says of real clips, of real clips held against others' questions, and of spoiled ones."""
    clips: dict[str, Callable[[Question], np.ndarray]] = {"real clips": lambda question: question.scene.render()}
    result = {}
    for name, draw in (clips | dict(probe.spoiled)).items():
        saw = [look(judge, draw(one), one.scene.fps, probe.seconds) for one in questions]
        result[name] = probe.summarise([probe.score(*pair) for pair in zip(saw, questions, strict=True)])
        if name == "real clips" and probe.asks_of_each:
            result["others' questions"] = held_against_others(probe, saw, questions)
    return result


def held_against_others(probe: Probe, saw: Sequence[Seen], questions: Sequence[Question]) -> dict[str, Any]:
    """Every clip held against every other's question: what is right by chance."""
    scores = [
        probe.score(one, question)
        for index, one in enumerate(saw)
        for other, question in enumerate(questions)
        if index != other
    ]
    return probe.summarise(scores)
