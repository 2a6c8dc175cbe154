"""Things that come in several looks: people by gender and skin tone, hands by tone. Which there are, and who is drawn.

A *kind* is what such a thing is called when nothing of its look is said: "farmer", "person running", "waving hand". It
is the word that a vocabulary holds, that the split goes by and that judges know; a look is drawn for it in each scene,
uniformly, from a stream of its own, so that it depends on nothing else in the scene. What a caption calls a look is
portraits.py's business.

What is read is the emoji's code point sequence and not its name: skin tones are modifiers (U+1F3FB to U+1F3FF) and
genders are signs (U+2640, U+2642) or the first person of the sequence (Unicode Technical Standard 51).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hibari.worlds.pack import Entry

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
GENDERS = ("woman", "man", "neutral")
_MODIFIERS = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}
_SIGNS = {"2640": "woman", "2642": "man"}
_FIRST = {"1f469": "woman", "1f468": "man", "1f9d1": "neutral"}
_PEOPLE = {*_FIRST, "1f466", "1f467", "1f9d2"}
# Code points of their own that are genders of one kind: of that code point.
_OF_KIND = {
    "1f467": ("1f9d2", "woman"),
    "1f466": ("1f9d2", "man"),
    "1f475": ("1f9d3", "woman"),
    "1f474": ("1f9d3", "man"),
    "1f478": ("1fac5", "woman"),
    "1f934": ("1fac5", "man"),
    "1f930": ("1fac4", "woman"),
    "1fac3": ("1fac4", "man"),
    "1f483": ("1f483", "woman"),
    "1f57a": ("1f483", "man"),
}
# Kinds whose emoji without gender or tone is not there, or is called something that nobody would say.
_NAMES = {
    "1f483": "person dancing",
    "1f48f": "couple kissing",
    "1f491": "couple with a heart between them",
    "1f931": "woman breast-feeding a baby",
    "1f933": "hand taking a selfie",
    "1f485": "hand with painted nails",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look of a kind: its sprite, its gender and its tone, each "" where the kind has no choice or shows none.

    "neutral" is a person that the artist drew without a gender, and no tone in a kind that has tones is the yellow of
    an emoji without a skin tone.
    """

    sprite: str
    gender: str
    tone: str


def looks_of(entries: Iterable["Entry"]) -> dict[str, tuple[Look, ...]]:
    """Every kind that has at least two looks, by its name, with all its looks."""
    members: dict[str, list[tuple[str, Entry]]] = defaultdict(list)
    for entry in entries:
        kind, gender = _kind_of(entry.code)
        members[kind].append((gender, entry))
    found = {}
    for kind, several in members.items():
        if len(several) > 1:
            # A man in a suit is no choice of gender where nobody else has the suit.
            choice = len({gender for gender, _ in several}) > 1
            found[_name_of(kind, several)] = tuple(
                Look(sprite=entry.name, gender=gender if choice else "", tone=entry.tone) for gender, entry in several
            )
    return found


def drawable(looks: Sequence[Look]) -> tuple[Look, ...]:
    """The looks that a world draws: of a kind that has skin tones only those, as yellow is nobody's skin.

    Yellow would otherwise be a sixth tone that no caption could name.
    """
    return tuple(look for look in looks if look.tone) or tuple(looks)


def draw_look(rng: np.random.Generator, looks: Sequence[Look]) -> Look:
    """One of a kind's drawable looks: a gender, each alike, and then one of its tones, each alike."""
    able = drawable(looks)
    genders = list(dict.fromkeys(look.gender for look in able))
    gender = genders[int(rng.integers(len(genders)))]
    toned = [look for look in able if look.gender == gender]
    return toned[int(rng.integers(len(toned)))]


def _kind_of(code: str) -> tuple[str, str]:
    """The code of the kind that a code belongs to, and its gender in that kind."""
    parts = [part for part in code.split("-") if part not in _MODIFIERS]
    if len(parts) == 1 and parts[0] in _OF_KIND:
        return _OF_KIND[parts[0]]
    for index, part in enumerate(parts):
        if index and part in _SIGNS:  # the sign and the joiner before it
            return "-".join(parts[: index - 1] + parts[index + 1 :]), _SIGNS[part]
    if parts[0] in _FIRST and sum(part in _PEOPLE for part in parts) == 1:
        return "-".join(["1f9d1", *parts[1:]]), _FIRST[parts[0]]
    return "-".join(parts), "neutral"


def _name_of(kind: str, several: Sequence[tuple[str, "Entry"]]) -> str:
    """What a kind is called: as its emoji without gender and tone."""
    plain = [entry.name for gender, entry in several if gender == "neutral" and not entry.tone]
    return _NAMES[kind] if kind in _NAMES else plain[0] if plain else several[0][1].name
