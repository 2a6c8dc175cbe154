"""Prompt following: does a clip show the object, the motion and the background that its prompt asks for?"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hibari.evaluate.intervals import Share
from hibari.evaluate.judges import Judges, Verdict
from hibari.evaluate.prompts import JUDGED, RENDERED, Prompt
from hibari.worlds import World

ASPECTS = ("object", "motion", "background")
MakeClip = Callable[[Prompt], np.ndarray]
"""From a prompt to frames `(T, H, W, 3)` uint8; the prompt's seed decides what chance there is."""


@dataclass(frozen=True)
class Answer:
    """What was asked for and what was seen."""

    prompt: Prompt
    verdict: Verdict

    def right(self, aspect: str) -> bool:
        """Whether the clip shows the object, motion or background that was asked for."""
        return bool(getattr(self.prompt, aspect) == getattr(self.verdict, aspect))


def ask(make: MakeClip, judges: Judges, prompts: Sequence[Prompt]) -> Iterator[Answer]:
    """Make a clip for each prompt, in order, and judge its first second and a half."""
    for prompt in prompts:
        yield Answer(prompt, judges.judge(make(prompt)[:JUDGED]))


def summarise(answers: Sequence[Answer]) -> dict[str, Any]:
    """Shares with 95% intervals, chance, a table for each class, what was taken for what, and every answer."""
    summary: dict[str, Any] = {"prompts": len(answers)}
    for aspect in ASPECTS:
        summary[aspect] = _share(answers, aspect).as_dict() | {"chance": round(chance(answers, aspect), 4)}
        summary[aspect]["classes"] = {name: share.as_dict() for name, share in by_class(answers, aspect).items()}
        summary[aspect]["mistakes"] = _mistakes(answers, aspect)
    every = sum(all(answer.right(aspect) for aspect in ASPECTS) for answer in answers)
    summary["all three"] = Share(every, len(answers)).as_dict()
    summary["answers"] = [{**asdict(answer.prompt), "seen": asdict(answer.verdict)} for answer in answers]
    return summary


def chance(answers: Sequence[Answer], aspect: str) -> float:
    """Shuffled prompts, all shuffles: the share that is right when each clip is held against every other's prompt."""
    asked = Counter(getattr(answer.prompt, aspect) for answer in answers)
    right = sum(asked[getattr(answer.verdict, aspect)] - answer.right(aspect) for answer in answers)
    return right / max(1, len(answers) * (len(answers) - 1))


def by_class(answers: Sequence[Answer], aspect: str) -> dict[str, Share]:
    """The share of right clips for each word that was asked for."""
    asked = Counter(getattr(answer.prompt, aspect) for answer in answers)
    hits = Counter(getattr(answer.prompt, aspect) for answer in answers if answer.right(aspect))
    return {name: Share(hits[name], asked[name]) for name in sorted(asked)}


def oracle(world: World) -> MakeClip:
    """The world itself as the maker: a perfect model's score, which is the judges' own. `world` is a plain one."""
    return lambda prompt: world.scene(prompt.seed, RENDERED, held_out=True).render()


def noise_maker(prompt: Prompt) -> np.ndarray:
    """A model that has learned nothing."""
    return np.random.default_rng(prompt.seed).integers(0, 256, (*RENDERED, 3), np.uint8)


def _share(answers: Sequence[Answer], aspect: str) -> Share:
    return Share(sum(answer.right(aspect) for answer in answers), len(answers))


def _mistakes(answers: Sequence[Answer], aspect: str) -> list[list[Any]]:
    """[asked for, seen, how often], the commonest first."""
    wrong = Counter(
        (getattr(answer.prompt, aspect), getattr(answer.verdict, aspect))
        for answer in answers
        if not answer.right(aspect)
    )
    return [[asked, seen, count] for (asked, seen), count in wrong.most_common()]
