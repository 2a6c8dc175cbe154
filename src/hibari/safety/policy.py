"""The policy: which score of which category means allow, hold or refuse, for whom. A file, read strictly.

A policy is TOML. For each surface (prompt, frames, uploads) and category it names, per age band, the score from which
a thing is held for review and the score from which it is refused; a category that is not named for a surface is not
judged there. Sexual content with minors is not the operator's to loosen: a policy that does is not read.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from hibari.errors import Refused
from hibari.safety.categories import CATEGORIES, titles

Action = Literal["allow", "hold", "refuse"]
SHIPPED = Path(__file__).parent / "shipped" / "policy.toml"
SURFACES = ("prompt", "frames", "uploads")
AGE_BANDS = ("adult", "teen", "unknown")
FORMAT = 1
HARD = "child_sexual_exploitation"
HARD_REFUSES_FROM = 0.5
_RANK = {"allow": 0, "hold": 1, "refuse": 2}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One reason for a score: the category, the score 0 to 1, which part found it, and why in words."""

    category: str
    score: float
    by: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a screen says: the action, all scores, why, and what the person can change. Findings are for reviewers.

    `category` is the one that led to the action first of all; "" where nothing was found.
    """

    action: Action
    categories: dict[str, float]
    reason: str
    advice: str
    findings: tuple[Finding, ...] = ()
    category: str = ""

    @property
    def allowed(self) -> bool:
        return self.action == "allow"

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain values, for a record."""
        return {
            "action": self.action,
            "categories": {name: round(score, 4) for name, score in self.categories.items()},
            "reason": self.reason,
            "advice": self.advice,
            "findings": [
                {"category": one.category, "score": round(one.score, 4), "by": one.by, "why": one.why}
                for one in self.findings
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The scores from which a category is held and refused; None is never."""

    hold: float | None = None
    refuse: float | None = None

    def action(self, score: float) -> Action:
        """What a score leads to."""
        if self.refuse is not None and score >= self.refuse:
            return "refuse"
        return "hold" if self.hold is not None and score >= self.hold else "allow"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Limits by (surface, category, age band), and the four answers that are no score."""

    name: str
    limits: Mapping[tuple[str, str, str], Limits] = field(repr=False)
    faces_without_consent: Action
    minors_with_guardian: Action
    minors_without_guardian: Action
    unread_language: Action

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a policy file (the shipped one where None); raises Refused with the line to put right."""
        place = path or SHIPPED
        try:
            document = tomllib.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Refused(f"The safety policy {place} cannot be read ({error}).", option="policy") from error
        return cls._from(document, place)

    @classmethod
    def _from(cls, document: dict[str, Any], place: Path) -> Self:
        rest = dict(document)
        if rest.pop("format", None) != FORMAT:
            raise _wrong(place, f"format must be {FORMAT}")
        name = rest.pop("name", "")
        people = rest.pop("people", {})
        answers = {
            key: _action(people.pop(key, None), place, f"people.{key}")
            for key in ("faces_without_consent", "minors_with_guardian", "minors_without_guardian")
        }
        answers["unread_language"] = _action(rest.pop("unread_language", None), place, "unread_language")
        limits: dict[tuple[str, str, str], Limits] = {}
        for surface in SURFACES:
            for category, bands in rest.pop(surface, {}).items():
                limits |= _bands(surface, category, bands, place)
        if unknown := [*rest, *(f"people.{key}" for key in people)]:
            raise _wrong(place, f"{unknown[0]} is unknown")
        for surface in ("prompt", "uploads"):
            for band in AGE_BANDS:
                refuse = limits.get((surface, HARD, band), Limits()).refuse
                if refuse is None or refuse > HARD_REFUSES_FROM:
                    raise _wrong(place, f"{surface}.{HARD}.{band} must refuse from {HARD_REFUSES_FROM} or less")
        if answers["minors_without_guardian"] == "allow":
            raise _wrong(place, "people.minors_without_guardian must not allow")
        return cls(name=str(name), limits=limits, **answers)

    def decide(self, surface: str, findings: Sequence[Finding], age_band: str = "adult") -> Verdict:
        """The strictest action that any finding leads to on a surface, with its reasons."""
        if age_band not in AGE_BANDS:
            raise Refused(f"{age_band!r} is not an age band.", hint=f"Known: {', '.join(AGE_BANDS)}.")
        scores: dict[str, float] = {}
        for one in findings:
            scores[one.category] = max(one.score, scores.get(one.category, 0.0))
        actions = {
            category: self.limits.get((surface, category, age_band), Limits()).action(score)
            for category, score in scores.items()
        }
        if "unreadable" in actions:
            actions["unreadable"] = self.unread_language
        return verdict_of(actions, scores, findings)


def verdict_of(actions: Mapping[str, Action], scores: Mapping[str, float], findings: Sequence[Finding]) -> Verdict:
    """The strictest of some categories' actions as a verdict in words."""
    nothing: Action = "allow"
    action = max(actions.values(), key=_RANK.__getitem__, default=nothing)
    ordered = tuple(sorted(findings, key=lambda one: -one.score))
    if action == "allow":
        return Verdict(action=action, categories=dict(scores), reason="Nothing was found.", advice="", findings=ordered)
    guilty = sorted((name for name, what in actions.items() if what == action), key=lambda name: -scores[name])
    guilty = [HARD] if HARD in guilty else guilty[:3]
    whys = list(dict.fromkeys(one.why for one in ordered if one.category in guilty))[:3]
    verb = "Refused" if action == "refuse" else "Held for review"
    return Verdict(
        action=action,
        categories=dict(scores),
        reason=f"{verb} for {titles(guilty)}: {'; '.join(whys)}.",
        advice=" ".join(CATEGORIES[name].advice for name in guilty),
        findings=ordered,
        category=guilty[0],
    )


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict that decides among several; the first of equals."""
    assert verdicts, "no verdict at all is not a verdict"
    return max(verdicts, key=lambda verdict: _RANK[verdict.action])


def _bands(surface: str, category: str, bands: Any, place: Path) -> dict[tuple[str, str, str], Limits]:
    """The limits of one category on one surface; every age band must be there."""
    where = f"{surface}.{category}"
    if category not in CATEGORIES:
        raise _wrong(place, f"{where}: no such category")
    if not isinstance(bands, dict) or set(bands) != set(AGE_BANDS):
        raise _wrong(place, f"{where} must name the age bands {', '.join(AGE_BANDS)}")
    made = {}
    for band, values in bands.items():
        if not isinstance(values, dict) or not set(values) <= {"hold", "refuse"}:
            raise _wrong(place, f"{where}.{band} knows hold and refuse only")
        if not all(isinstance(v, int | float) and not isinstance(v, bool) and 0 < v <= 1 for v in values.values()):
            raise _wrong(place, f"{where}.{band}: scores lie above 0 and up to 1")
        made[surface, category, band] = Limits(**{key: float(value) for key, value in values.items()})
    return made


def _action(value: Any, place: Path, key: str) -> Action:
    for action in ("allow", "hold", "refuse"):
        if value == action:
            return action
    raise _wrong(place, f"{key} must be allow, hold or refuse")


def _wrong(place: Path, what: str) -> Refused:
    return Refused(f"The safety policy {place} is not valid: {what}.", option="policy")
