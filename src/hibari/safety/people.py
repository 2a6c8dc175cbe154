"""Named real people: a list of public figures, found by full name or by the one word that only they go by."""

import re
from pathlib import Path
from typing import Self

from hibari.errors import Refused
from hibari.safety.folding import SHIPPED, Folded
from hibari.safety.policy import Finding

FULL, ALONE = 0.9, 0.82
LEAST_LETTERS = 5  # of a name's word that is looked for when a word was masked or cut
INNOCENT = frozenset({"trump card", "trump cards", "musk deer", "musk ox", "white musk", "musk oil", "musk melon"})
_SPACED = re.compile(r"[a-zа-я]")


class People:
    """Names to look for, as sequences of words."""

    def __init__(self, names: dict[tuple[str, ...], float]) -> None:
        self.words = frozenset(word for name in names for word in name if len(word) >= LEAST_LETTERS)
        self._by_first: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        self._unspaced = {name[0]: score for name, score in names.items() if not _SPACED.search(name[0])}
        for name, score in names.items():
            self._by_first.setdefault(name[0], []).append((name, score))

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a list of names (the shipped one where None); raises Refused."""
        place = path or SHIPPED / "people.txt"
        try:
            lines = place.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"The list of real people {place} cannot be read ({error}).") from error
        names: dict[tuple[str, ...], float] = {}
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            full, _, alone = line.partition("|")
            names[tuple(full.split())] = FULL
            names |= {(word,): ALONE for word in alone.split()}
        if not names:
            raise Refused(f"The list of real people {place} is empty.")
        return cls(names)

    def findings(self, text: Folded) -> list[Finding]:
        """A finding for the first real person that any reading of a text names; the name itself is not repeated."""
        best = max((self._score(reading) for reading in text.readings), default=0.0)
        if not best:
            return []
        why = "it names a real person"
        return [Finding(category="real_person_likeness", score=best, by="list of real people", why=why)]

    def _score(self, reading: tuple[str, ...]) -> float:
        best = max(
            (score for name, score in self._unspaced.items() if any(name in word for word in reading)), default=0.0
        )
        for at, word in enumerate(reading):
            for name, score in self._by_first.get(word, ()):
                near = " ".join(reading[max(0, at - 1) : at + 1]), " ".join(reading[at : at + 2])
                if reading[at : at + len(name)] == name and not (len(name) == 1 and INNOCENT & set(near)):
                    best = max(best, score)
        return best
