"""What the API and its helpers say to each other: JSON, one message a line; moderations and errors have a form here.

Both sides read this, so nothing of it loads torch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hibari import errors
from hibari.errors import HibariError
from hibari.safety.categories import OPENAI_NAMES, openai_scores
from hibari.safety.policy import Policy, Verdict

TEXT, IMAGE = "text", "image"


@dataclass(frozen=True, kw_only=True)
class Moderation:
    """What a text, a picture, or a message of several of them scored.

    `scores`, `flags` and `looked` are by OpenAI's thirteen names: 0 to 1, whether the policy would not let it pass, and
    the kinds of input ("text", "image") that were looked at for it. `flagged` is the policy's answer on the whole,
    which knows more categories than the thirteen: `own` are the scores of ours, and `reason` is in words.
    """

    flagged: bool
    flags: dict[str, bool]
    scores: dict[str, float]
    looked: dict[str, list[str]]
    own: dict[str, float]
    reason: str

    def as_result(self) -> dict[str, Any]:
        """One of `results` in the answer of /v1/moderations, with `hibari` beside OpenAI's keys."""
        return {
            "flagged": self.flagged,
            "categories": self.flags,
            "category_scores": self.scores,
            "category_applied_input_types": self.looked,
            "hibari": {"categories": self.own, "reason": self.reason},
        }

    @classmethod
    def of(cls, verdict: Verdict, policy: Policy, surface: str, kind: str) -> Self:
        """A verdict in OpenAI's names."""
        scores = openai_scores(verdict.categories)
        stopped = {
            category
            for category, score in verdict.categories.items()
            if (limits := policy.limits.get((surface, category, "adult"))) and limits.action(score) != "allow"
        }
        # A text is read for all of them; of a picture, the models know a few.
        known = {name for name, ids in OPENAI_NAMES.items() if kind == TEXT or set(ids) & verdict.categories.keys()}
        return cls(
            flagged=not verdict.allowed,
            flags={name: not stopped.isdisjoint(ids) for name, ids in OPENAI_NAMES.items()},
            scores={name: round(score, 6) for name, score in scores.items()},
            looked={name: [kind] if name in known else [] for name in OPENAI_NAMES},
            own={category: round(score, 6) for category, score in verdict.categories.items()},
            reason=verdict.reason,
        )

    @classmethod
    def joined(cls, parts: "Sequence[Moderation]") -> Self:
        """The moderation of a message that has several parts: the worst of each."""
        assert parts, "a message has a part"
        own: dict[str, float] = {}
        for part in parts:
            own |= {category: max(score, own.get(category, 0.0)) for category, score in part.own.items()}
        flagged = [part for part in parts if part.flagged]
        return cls(
            flagged=bool(flagged),
            flags={name: any(part.flags[name] for part in parts) for name in OPENAI_NAMES},
            scores={name: max(part.scores[name] for part in parts) for name in OPENAI_NAMES},
            looked={name: sorted({kind for part in parts for kind in part.looked[name]}) for name in OPENAI_NAMES},
            own=own,
            reason=(flagged or parts)[0].reason,
        )


def raised(error: dict[str, str]) -> HibariError:
    """The child's error, as it was raised there."""
    kind = getattr(errors, error["kind"])
    assert issubclass(kind, HibariError), kind
    made: HibariError = kind(error["message"], option=error["option"], hint=error["hint"])
    return made


def told(error: HibariError, paths: Iterable[str]) -> dict[str, str]:
    """An error for the other side: the nearest class of the tree, without the names of files on this machine."""
    kind = next(one.__name__ for one in type(error).__mro__ if getattr(errors, one.__name__, None) is one)
    message = error.message
    for path in paths:
        message = message.replace(path, "The file").replace(Path(path).name, "The file")
    return {"kind": kind, "message": message, "option": error.option, "hint": error.hint}
