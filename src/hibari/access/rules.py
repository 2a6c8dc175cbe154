"""What each role may do, as one table; whatever is not in it is denied. Every decision keeps its reason.

The rules know actors, actions and owners; how much is `quota`'s to say, and how a refusal is worded the service's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from hibari.access.actors import Actor

Action = Literal[
    "video.create",
    "video.read",
    "video.list",
    "video.delete",
    "video.extend",
    "model.list",
    "image.create",
    "moderation.create",
    "provenance.check",
    "character.create",
    "character.read",
    "character.list",
    "character.delete",
    "webhook.manage",
    "user.manage",
    "review.decide",
    "audit.read",
    "metrics.read",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
Reach = Literal["own", "new", "any"]
"""own: what is the actor's. new: what is nobody's yet, or the actor's. any: whosever it is."""

_WORDS: Mapping[Action, str] = MappingProxyType(
    {
        "video.create": "make videos",
        "video.read": "see videos",
        "video.list": "list videos",
        "video.delete": "delete videos",
        "video.extend": "remix, edit or extend videos",
        "model.list": "see models",
        "image.create": "make pictures",
        "moderation.create": "ask for moderations",
        "provenance.check": "ask where files come from",
        "character.create": "make characters",
        "character.read": "see characters",
        "character.list": "list characters",
        "character.delete": "delete characters",
        "webhook.manage": "manage webhooks",
        "user.manage": "manage users",
        "review.decide": "decide reviews",
        "audit.read": "read the audit log",
        "metrics.read": "read the metrics",
    }
)
_SEES: dict[Action, Reach] = {
    "video.read": "own",
    "video.list": "own",
    "character.read": "own",
    "character.list": "own",
}
_LOOKS: dict[Action, Reach] = {"model.list": "any", "provenance.check": "any"}
_MAKES: dict[Action, Reach] = {
    "video.create": "new",
    "video.extend": "own",
    "video.delete": "own",
    "image.create": "new",
    "moderation.create": "new",
    "character.create": "new",
    "character.delete": "own",
    "webhook.manage": "own",
}
_RUNS: dict[Action, Reach] = {
    "video.read": "any",
    "video.list": "any",
    "video.delete": "any",
    "character.read": "any",
    "character.list": "any",
    "character.delete": "any",
    "user.manage": "any",
    "review.decide": "any",
    "audit.read": "any",
    "metrics.read": "any",
}
RULES: Mapping[str, Mapping[Action, Reach]] = MappingProxyType(
    {
        "admin": _SEES | _LOOKS | _MAKES | _RUNS,  # and yet extends, or speaks through, nothing of another's
        "creator": _SEES | _LOOKS | _MAKES,
        "viewer": _SEES | _LOOKS,
        "reviewer": _LOOKS | {"review.decide": "any"},
        "auditor": _LOOKS | {"audit.read": "any", "metrics.read": "any"},
        "stranger": {"provenance.check": "any"},
    }
)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What an action is on: a kind such as "video", whose it is (None: nobody's), and which one, for the audit log.

    Of a list, the owner is whose entries are listed; None there means everyone's.
    """

    kind: str
    owner: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}" if self.id is not None else self.kind


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Yes or no, and why. `hidden`: it is another's and the actor may not learn that it is there; say "not found"."""

    allowed: bool
    reason: str
    hidden: bool = False


def decide(actor: Actor, action: Action, resource: Resource) -> Decision:
    """Whether the actor may do this to that."""
    assert action in ACTIONS, action
    rules = RULES.get(actor.role, {})
    reach = rules.get(action)
    is_anothers = resource.owner not in (None, actor.user)
    hidden = is_anothers and rules.get("video.read") != "any"
    if reach is None:
        who = f"{'an' if actor.role[0] in 'aeiou' else 'a'} {actor.role}"
        return Decision(allowed=False, reason=f"{who} may not {_WORDS[action]}", hidden=hidden)
    if actor.scopes is not None and action not in actor.scopes:
        return Decision(allowed=False, reason=f"the key is not for {action}", hidden=hidden)
    if reach == "any":
        return Decision(allowed=True, reason=f"{actor.role} may do {action}")
    if is_anothers:
        return Decision(allowed=False, reason=f"it is another's, and {action} is for the owner alone", hidden=hidden)
    if reach == "own" and resource.owner is None:
        return Decision(allowed=False, reason=f"{action} is for an owner alone, and this has none")
    return Decision(allowed=True, reason=f"{actor.role} may do {action} with what is theirs")
