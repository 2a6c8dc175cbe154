"""The words of the world that a model was trained on, and what in a prompt lies outside of it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hibari.errors import BadWeights

FILE = "world.json"
_ENDINGS = ("'s", "ing", "es", "ed", "ly", "s", "e")

# Said in every sentence, of any world.
_SMALL_WORDS = frozenset(
    re.findall(r"\w+", "a an the this that it its his her and or of in on at to by with for is are")
)


@dataclass(frozen=True, kw_only=True)
class World:
    """What a model can draw, by name, and every word that its captions used (none: not known)."""

    objects: tuple[str, ...]
    motions: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: Path) -> Self:
        """The world in a file of lists; raises BadWeights. Lists of other names are left to their readers."""
        try:
            lists = json.loads(path.read_text(encoding="utf-8"))
            parts = {name: tuple(map(str, lists[name])) for name in ("objects", "motions", "backgrounds")}
            words = frozenset(str(word).lower() for word in lists["words"]) if "words" in lists else frozenset()
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadWeights(f"{path}: not a world ({type(error).__name__}: {error}).", option="model") from error
        return cls(words=words, **parts)

    def named(self, prompt: str) -> list[str]:
        """The objects of this world that the prompt names."""
        spoken = {_stem(word) for word in _words(prompt)}
        return [name for name in self.objects if all(_stem(word) in spoken for word in _words(name))]

    def unknown(self, prompt: str) -> list[str]:
        """The prompt's words that no caption ever used, in order; empty where the captions' words are not known."""
        stems = {_stem(word) for word in self.words | _SMALL_WORDS}
        spoken = dict.fromkeys(_words(prompt))
        return [word for word in spoken if self.words and _stem(word) not in stems]

    def advice(self, prompt: str, model: str) -> str:
        """One kind sentence where the prompt leaves this world; empty where it stays inside."""
        strange = self.unknown(prompt)
        if not self.named(prompt) and (strange or not self.words):
            few = ", ".join(self.objects[:6])
            return f"{model} has never seen what this asks for and will draw what comes nearest. It knows {few}, …"
        if strange:
            quoted = ", ".join(f'"{word}"' for word in strange[:6]) + (", …" if len(strange) > 6 else "")
            return f"{model} has never met {quoted}; it will do what it can with the rest."
        return ""


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())


def _stem(word: str) -> str:
    """A word without its commonest ending, so that "drift", "drifts" and "drifting" meet."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
