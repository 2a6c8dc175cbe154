"""The rule engine: terms that stand near each other. The rules themselves are data, in `shipped/rules.toml`."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

from hibari.errors import Refused
from hibari.safety.categories import CATEGORIES
from hibari.safety.folding import SHIPPED, Folded, Lexicon
from hibari.safety.policy import Finding

FORMAT = 1
AGES = "ages"
ADULT = 18
WHENS = ("", "minor_upload", "negative")
MAX_SPOTS = 40  # of one group in one text: more say no more, and pairs of them are tried
_COUNTING = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_NUMBERS = [*_COUNTING.split(), "seventeen"]
_N = rf"(\d{{1,2}}|{'|'.join(_NUMBERS)})"
_AGE = re.compile(
    rf"(?<!\S)(?:{_N} (?:years?|yrs?|yr|y|months?|weeks?) (?:olds?|o|of age|young)"
    rf"|(\d{{1,2}})(?:yo|yrs?|yearold|years?old)"
    rf"|(?:aged?|age of|ages|turning|turned|barely) {_N}(?! (?:minutes?|hours?|days?|times?|pages?|percent)))"
    r"(?!\S)"
)
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# Other scripts without spaces, such as Thai, hold no terms yet.


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A category's score where a term of every group in `all` stands within `within` words of the others (0: anywhere).

    `when` names what must be true of the request beside the text: "" nothing, "minor_upload" or "negative".
    """

    id: str
    category: str
    all: tuple[str, ...]
    score: float
    why: str
    within: int = 0
    unless: tuple[str, ...] = ()
    when: str = ""


class Terms:
    """One group's terms as a pattern over words joined by single spaces."""

    def __init__(self, terms: Iterable[str], innocent: Iterable[str] = ()) -> None:
        self.terms = tuple(terms)
        self._terms = _pattern(self.terms)
        self._innocent = _pattern(innocent)

    def spots(self, line: str) -> list[int]:
        """Where the terms stand, counted in words."""
        hidden = [found.span() for found in self._innocent.finditer(line)] if self._innocent else []
        assert self._terms is not None, "a group without terms is refused when it is read"
        starts = [
            found.start()
            for found in self._terms.finditer(line)
            if not any(low <= found.start() and found.end() <= high for low, high in hidden)
        ]
        return [line.count(" ", 0, start) for start in starts[:MAX_SPOTS]]


class Rules:
    """All rules and the groups that they speak of."""

    def __init__(self, rules: Sequence[Rule], groups: Mapping[str, Terms]) -> None:
        self.rules = tuple(rules)
        self.groups = dict(groups)
        single = {term for group in groups.values() for term in group.terms if " " not in term and term.isascii()}
        stems = {term.removesuffix("*") for term in single}
        self.lexicon = Lexicon(words=frozenset(stem for stem in stems if len(stem) > 2), innocent=_innocent_cuts())

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a rules file (the shipped one where None); raises Refused with what is wrong."""
        place = path or SHIPPED / "rules.toml"
        try:
            document = tomllib.loads(place.read_text(encoding="utf-8"))
            if document["format"] != FORMAT:
                raise ValueError(f"format {document['format']}, not {FORMAT}")
            innocent = document["innocent"]
            groups = {name: Terms(_strings(terms), innocent.get(name, ())) for name, terms in document["terms"].items()}
            rules = [_rule(entry, groups) for entry in document["rule"]]
            if unknown := set(innocent) - set(groups):
                raise ValueError(f"innocent.{min(unknown)} has no terms")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(f"The rules of the prompt screen {place} cannot be read ({error}).") from error
        return cls(rules, groups)

    def findings(self, text: Folded, when: frozenset[str] = frozenset()) -> list[Finding]:
        """What the rules say of a text, one finding for each rule that holds in any of its readings."""
        found: dict[str, Finding] = {}
        for reading in text.readings:
            line = " ".join(reading)
            spots = {name: group.spots(line) for name, group in self.groups.items()}
            spots[AGES] = ages(line)
            for rule in self.rules:
                if rule.id not in found and (not rule.when or rule.when in when) and _holds(rule, spots):
                    found[rule.id] = Finding(
                        category=rule.category, score=rule.score, by=f"rule {rule.id}", why=rule.why
                    )
        return list(found.values())


def ages(line: str) -> list[int]:
    """Where an age below 18 is said, counted in words."""
    spots = []
    for found in _AGE.finditer(line):
        number = next(group for group in found.groups() if group)
        if (int(number) if number.isdigit() else _NUMBERS.index(number)) < ADULT:
            spots.append(line.count(" ", 0, found.start()))
    return spots[:MAX_SPOTS]


def _holds(rule: Rule, spots: Mapping[str, list[int]]) -> bool:
    places = [spots[name] for name in rule.all]
    if not all(places) or any(spots[name] for name in rule.unless):
        return False
    if not rule.within or len(places) == 1:
        return True
    return any(max(chosen) - min(chosen) <= rule.within for chosen in product(*places))


def _rule(entry: dict[str, Any], groups: Mapping[str, Terms]) -> Rule:
    """A rule whose groups and category exist; raises ValueError or TypeError."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    rule = Rule(**values)
    if rule.category not in CATEGORIES:
        raise ValueError(f"rule {rule.id}: no category {rule.category!r}")
    if not rule.all or (missing := {*rule.all, *rule.unless} - {*groups, AGES}):
        raise ValueError(f"rule {rule.id}: no group {min(missing) if rule.all else '(none named)'}")
    if not 0 < rule.score <= 1 or rule.when not in WHENS:
        raise ValueError(f"rule {rule.id}: score {rule.score}, when {rule.when!r}")
    return rule


def _strings(terms: Any) -> tuple[str, ...]:
    if not isinstance(terms, list) or not terms or not all(isinstance(term, str) and term.strip() for term in terms):
        raise ValueError("a group is a list of words, and none is empty")
    return tuple(terms)


def _pattern(terms: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern for many terms, longest first; None for no terms."""
    spaced, unspaced = [], []
    for term in sorted(terms, key=len, reverse=True):
        if _UNSPACED.search(term):
            unspaced.append(re.escape(term))
        else:
            ending = r"\S*" if term.endswith("*") else ""
            spaced.append(re.escape(term.removesuffix("*")) + ending)
    parts = [rf"(?<!\S)(?:{'|'.join(spaced)})(?!\S)"] if spaced else []
    parts += [f"(?:{'|'.join(unspaced)})"] if unspaced else []
    return re.compile("|".join(parts)) if parts else None


def _innocent_cuts() -> frozenset[str]:
    """Pairs of common words that together spell a rule's word, such as "the rapist"; raises Refused."""
    place = SHIPPED / "innocent_cuts.txt"
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Refused(f"{place} cannot be read ({error.strerror}).") from error
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
