"""What a caption calls a person: varied plain English for gender and skin tone, or for neither. The words: words.py.

It speaks of what a picture shows, a skin tone and not an origin, and puts the person before the tone where English can.
"""

import re

import numpy as np

from hibari.worlds import naming, words
from hibari.worlds.looks import Look

# The word that stands for the person, and what follows it: "bald person", "person | running", "women | wrestling".
_HEAD = re.compile(
    r"^((?:(?:androgynous|gender-neutral|bald|deaf|older|pregnant) )*"
    r"(?:person|woman|man|people|women|men|child|girl|boy|mermaid|merman|merperson|princess|prince))\b(?: (.+))?$"
)
_TWO = re.compile(r"\b(kissing|heart between them|holding hands)$")
_ONES = {"woman": {"person": "woman", "people": "women"}, "man": {"person": "man", "people": "men"}}


def portray(rng: np.random.Generator, noun: str, look: Look, *, gender: bool, tone: bool) -> str:
    """A noun without its article for a look, that says its gender or its tone where that is asked and there is one."""
    named = _gendered(rng, noun, look.gender) if gender and look.gender else noun
    if not (tone and look.tone):
        return named
    # "woman farmer" is one name with nothing after its head, though "woman" alone would be a head.
    return _toned(rng, named, look.tone, _HEAD.match(named) if _HEAD.match(noun) else None)


def _gendered(rng: np.random.Generator, noun: str, gender: str) -> str:
    if gender == "neutral":
        return f"{_pick(rng, words.NEUTRALLY)} {noun}"
    if noun in words.GENDERED:
        return _pick(rng, words.GENDERED[noun][gender])
    for plain, one in _ONES[gender].items():
        if re.search(rf"\b{plain}\b", noun):
            return re.sub(rf"\b{plain}\b", one, noun)
    return f"{_pick(rng, words.GENDERS[gender])} {noun}"


def _toned(rng: np.random.Generator, noun: str, tone: str, head: re.Match[str] | None) -> str:
    skin = _pick(rng, words.SKINS[tone])
    if _TWO.search(noun):
        return f"{noun} who both have {skin}"
    if naming.is_proper(noun):
        return f"{noun} with {skin}"
    if rng.random() < words.ADJECTIVES or (head is None and " with " in noun):
        return f"{_pick(rng, words.SKINNED[tone])} {noun}"
    if head is None or head[2] is None:
        return f"{noun} with {skin}"
    rest = head[2]
    return f"{head[1]} with {skin} {'and ' + rest[5:] if rest.startswith('with ') else rest}"


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
