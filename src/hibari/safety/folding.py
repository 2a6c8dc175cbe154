"""Text as a reader sees it: tricks of spelling undone, so that rules and the classifier meet plain words.

Undone are compatibility forms and accents (NFKC, Unicode UAX 15), invisible characters, look-alike letters of other
scripts (Unicode UTS 39), digits and signs for letters, l e t t e r s set apart, words cut in two, masked and stretched
letters. No trick is taken for guilt: a folded text is only read, as a second reading beside the plain one.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hibari.errors import Refused

SHIPPED = Path(__file__).parent / "shipped"
LEET = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g"} | {
    "@": "a", "$": "s", "!": "i", "|": "i", "+": "t", "€": "e", "£": "l", "¢": "c", "(": "c", "{": "c"
}  # fmt: skip
_LEET_L = str.maketrans(LEET | {"1": "l", "|": "l", "!": "l"})
_LEET_I = str.maketrans(LEET)
# Vowel signs and points of Arabic and Indic scripts belong to their words, though `\w` leaves them out.
_WORD = re.compile(r"[^\W_](?:['’]?(?:[^\W_]|[\u0300-\u036f\u064b-\u065f\u0900-\u0dff]))*")
_CHUNK = re.compile(r"\S+")
_APART = re.compile(r"(?<![^\W_])(?:[^\W_][\s._*\-·|/,~+]{1,3}){2,}[^\W_](?![^\W_])")
_INNER = re.compile(r"(?<=[^\W_])[._\-·|/~*+]+(?=[^\W_])")
_STRETCH = re.compile(r"([^\W\d_])\1{2,}")
_MASK = re.compile(r"[*#_?%]")
MAX_PIECES = 4


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """The single words that rules know: what a masked or cut word may have been."""

    words: frozenset[str]
    innocent: frozenset[str] = frozenset()
    by_length: dict[int, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        groups: dict[int, list[str]] = {}
        for word in sorted(self.words):
            groups.setdefault(len(word), []).append(word)
        object.__setattr__(self, "by_length", {size: tuple(words) for size, words in groups.items()})


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The readings of a text, as lists of lower-case words: the plain one first, then those that undo tricks."""

    readings: tuple[tuple[str, ...], ...]
    plain: str
    undone: str
    """The text with tricks undone, as one line for the classifier; equal to `plain` where there were none."""


def fold(text: str, lexicon: Lexicon) -> Folded:
    """All readings of a text."""
    plain = normalise(text)
    latin = plain.translate(confusables())
    undone = _untwist(latin, lexicon, _LEET_I)
    variants = [plain, strip_accents(plain), undone, _untwist(latin, lexicon, _LEET_L)]
    readings = dict.fromkeys(tuple(words(variant)) for variant in variants)
    return Folded(readings=tuple(readings), plain=plain, undone=undone)


def normalise(text: str) -> str:
    """NFKC, case folded, without invisible characters, on one line."""
    composed = unicodedata.normalize("NFKC", text)
    kept = [" " if c in "\n\r\t" else c for c in composed if c in "\n\r\t" or unicodedata.category(c) not in _INVISIBLE]
    return " ".join(unicodedata.normalize("NFKC", "".join(kept).casefold()).split())


_INVISIBLE = frozenset({"Cf", "Cc", "Cs", "Co", "Cn"})


def strip_accents(text: str) -> str:
    """The letters without marks above and below them."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def words(text: str) -> list[str]:
    """The words of a normalised text, without possessives."""
    return [word.replace("’", "'").removesuffix("'s") for word in _WORD.findall(text)]


@lru_cache(maxsize=1)
def confusables() -> dict[int, str]:
    """Code point to the Latin letter that it looks like; raises Refused where the table is missing."""
    place = SHIPPED / "confusables.json"
    try:
        table = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"The table of look-alike letters {place} cannot be read ({error}).") from error
    return {ord(char): letter for letter, chars in table["letters"].items() for char in chars}


def _untwist(text: str, lexicon: Lexicon, leet: dict[int, str]) -> str:
    """Undo, in this order: marks, letters set apart, signs inside words, digits for letters, stretching, cuts."""
    text = strip_accents(text)
    text = _APART.sub(lambda found: _joined(found.group(), leet, lexicon), text)
    pieces = [_plain_word(chunk, leet, lexicon) for chunk in _CHUNK.findall(text)]
    return " ".join(_mended(" ".join(pieces).split(), lexicon))


def _joined(text: str, leet: dict[int, str], lexicon: Lexicon) -> str:
    """Letters set apart as words: gaps wider than the rest part them, else the lexicon says where words end."""
    runs = re.split(r"\s{2,}", text)
    joined = [re.sub(r"[\W_]+", "", run.translate(leet)) for run in runs]
    return " ".join(piece for run in joined for piece in _cut(run, lexicon))


def _cut(run: str, lexicon: Lexicon) -> list[str]:
    """A run of letters cut where a word of the lexicon begins and ends, the longest first; else in one piece."""
    if run in lexicon.words:
        return [run]
    for size in sorted((size for size in lexicon.by_length if 4 <= size < len(run)), reverse=True):
        for word in lexicon.by_length[size]:
            if (at := run.find(word)) >= 0:
                parts = (run[:at], word, run[at + size :])
                return [piece for part in parts if part for piece in ([part] if part == word else _cut(part, lexicon))]
    return [run]


def _plain_word(chunk: str, leet: dict[int, str], lexicon: Lexicon) -> str:
    """One chunk between spaces with its signs and digits read as letters, where it then holds letters."""
    core = chunk.strip("\"'()[]{}<>.,;:?!…“”‘’—–")
    if not any(c.isalpha() for c in core):
        return core.translate(leet) if core.translate(leet) in lexicon.words and len(core) > 2 else core
    if _MASK.search(core) and (found := _unmasked(core, leet, lexicon)):
        return found
    closed = _INNER.sub("", core)
    # A hyphen or slash may also part two words, so a closed-up form counts only where a rule knows it.
    bare = closed.translate(leet)
    parts = [core.translate(leet) if part_of_word(core) else core]
    letters = _STRETCH.sub(r"\1", bare)
    for form in (bare, letters, _STRETCH.sub(r"\1\1", bare), _singled(bare)):
        if form in lexicon.words:
            return form
    return " ".join(words(_STRETCH.sub(r"\1\1", parts[0])))


def part_of_word(core: str) -> bool:
    """Whether digits and signs stand for letters: not in "4k", "1920s", "24fps" or "12-year-old"."""
    return not re.fullmatch(r"\d+(?:[-.,:x×/]\d+)*[-\s]?[a-z%°'\-]*", core)


def _singled(word: str) -> str:
    """Every doubled letter once."""
    return re.sub(r"([^\W\d_])\1+", r"\1", word)


def _unmasked(core: str, leet: dict[int, str], lexicon: Lexicon) -> str:
    """The one word of the lexicon that a masked word can have been, or ""."""
    kept = re.sub(r"[^\w*#?%]", "", core)
    shown = sum(c.isalpha() for c in kept)
    if shown < 2 or shown < len(kept) / 2:
        return ""
    pattern = re.compile(_MASK.sub("[a-z]", kept).translate(leet))
    found = [word for word in lexicon.by_length.get(len(kept), ()) if pattern.fullmatch(word)]
    return found[0] if found else ""


def _mended(pieces: list[str], lexicon: Lexicon) -> Iterable[str]:
    """Words that were cut by spaces, put together where the whole is a rule's word and the cut is no innocent pair."""
    at = 0
    while at < len(pieces):
        for count in range(min(MAX_PIECES, len(pieces) - at), 1, -1):
            cut = pieces[at : at + count]
            whole = "".join(cut)
            if len(whole) >= 4 and whole in lexicon.words and " ".join(cut) not in lexicon.innocent:
                yield whole
                at += count
                break
        else:
            yield pieces[at]
            at += 1
