"""The prompt classifier: a small network on sentence vectors that are handed in, and the card that says what it is.

It judges every category but sexual content with minors, for which no example exists to learn from: there the rules
decide alone. Scores are sigmoids, one for each category, so that a text can be several things or none, and one for
"any of them", which counts for the likeliest category. It was trained on English. Pure numpy; training is
`hibari.recipes.safety`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from hibari.errors import Refused
from hibari.safety.folding import SHIPPED
from hibari.safety.policy import Finding

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to sentence vectors `(N, D)` float32 of length one."""

WEIGHTS, CARD = "prompt_head.safetensors", "prompt_head.json"
FORMAT = 1
LEAST = 0.05  # scores below say nothing and are left out of verdicts
SAME = 0.995  # cosine of the probe's vector with the one that was trained on; rounding of weights keeps it above
PROBE = "a paper boat drifts down a quiet stream"
WINDOW, STEP = 40, 30  # words of a long text that are read at once, and how far the next window starts
LONE, LEAST_WORDS = 12, 3  # a text of so few words is not cut into sentences, and a sentence of fewer is none
MOST_CHARACTERS = 400  # of a window: an encoder reads 512 tokens, and a character can be one


class StateEncoder(Protocol):
    """A text encoder that gives token states, such as the model's own."""

    def encode(self, prompts: Sequence[str]) -> Sequence[Any]:
        """One tensor `(n, D)` for each prompt."""


def sentence_vectors(encoder: StateEncoder) -> Embed:
    """Mean of the token states at length one, as all-MiniLM-L6-v2 makes its sentence vectors."""

    def embed(texts: Sequence[str]) -> np.ndarray:
        means = [state.float().mean(0).cpu().numpy() for state in encoder.encode(texts)]
        vectors = np.stack(means).astype(np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)

    return embed


@dataclass(frozen=True, kw_only=True)
class Head:
    """Two layers: hidden = gelu(x W1 + b1), scores = sigmoid(hidden W2 + b2); the last output is "any of them"."""

    categories: tuple[str, ...]
    hidden_weight: np.ndarray
    hidden_bias: np.ndarray
    out_weight: np.ndarray
    out_bias: np.ndarray

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Scores `(N, categories)` 0 to 1 of vectors `(N, D)`."""
        hidden = vectors @ self.hidden_weight + self.hidden_bias
        hidden = hidden * _sigmoid(1.702 * hidden)  # the gelu of Hendrycks & Gimpel 2016 by its sigmoid form
        raw = _sigmoid(hidden @ self.out_weight + self.out_bias)
        scores, top = raw[:, :-1].copy(), raw[:, :-1].argmax(1)
        rows = np.arange(len(scores))
        scores[rows, top] = np.maximum(scores[rows, top], raw[:, -1])
        return scores

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name, for a safetensors file."""
        names = ("hidden_weight", "hidden_bias", "out_weight", "out_bias")
        return {name: np.ascontiguousarray(getattr(self, name), dtype=np.float32) for name in names}


class PromptClassifier:
    """A head and the encoder that it was trained on; `load` makes sure that they belong together."""

    def __init__(self, head: Head, embed: Embed) -> None:
        self.head = head
        self._embed = embed

    @classmethod
    def load(cls, embed: Embed, folder: Path = SHIPPED) -> Self:
        """Read weights and card; raises Refused where one is missing, altered, or of another encoder."""
        card, payload = read_card(folder), _read(folder / WEIGHTS)
        if hashlib.sha256(payload).hexdigest() != card.get("sha256"):
            raise Refused(f"{folder / WEIGHTS} is not the file that its card describes (wrong checksum).")
        head = _head(card, payload, folder)
        vector = embed([PROBE])[0]
        probe = np.asarray(card["probe"], dtype=np.float32)
        if vector.shape != probe.shape or float(vector @ probe) < SAME:
            raise Refused("The prompt classifier was trained on another text encoder than the one that is loaded.")
        return cls(head, embed)

    def findings(self, texts: Sequence[str]) -> list[Finding]:
        """The highest score of each category over windows of all texts."""
        parts = list(dict.fromkeys(part for text in texts for part in windows(text)))
        if not parts:
            return []
        best = self.head.scores(self._embed(parts)).max(0)
        return [
            Finding(category=name, score=float(score), by="classifier", why="its wording resembles what is not made")
            for name, score in zip(self.head.categories, best, strict=True)
            if score >= LEAST
        ]


def windows(text: str) -> list[str]:
    """A text whole, sentence by sentence, and, where it is long, in pieces that overlap.

    One line in a long story would be drowned by the rest.
    """
    words = text.split()
    if not words:
        return []
    starts = range(0, max(1, len(words) - (WINDOW - STEP)), STEP)
    pieces = [" ".join(words[start : start + WINDOW]) for start in starts]
    if len(words) > LONE:
        pieces += [part.strip() for part in _SENTENCE.split(text) if len(part.split()) >= LEAST_WORDS]
    return [
        piece[at : at + MOST_CHARACTERS] for piece in pieces for at in range(0, len(piece), MOST_CHARACTERS * 3 // 4)
    ]


def save(head: Head, folder: Path, embed: Embed, card: dict[str, Any]) -> None:
    """Write weights and card, which gets the checksum, the categories and the encoder's probe."""
    from safetensors.numpy import save as to_bytes

    folder.mkdir(parents=True, exist_ok=True)
    payload = to_bytes(head.tensors())
    (folder / WEIGHTS).write_bytes(payload)
    document = {
        "format": FORMAT,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "categories": list(head.categories),
        **card,
        "probe": [round(float(value), 5) for value in embed([PROBE])[0]],
    }
    (folder / CARD).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_card(folder: Path = SHIPPED) -> dict[str, Any]:
    """What the classifier's card says; raises Refused."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError(f"format {card['format']}, not {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"The prompt classifier's card {folder / CARD} cannot be read ({error}).", hint=_HINT) from error
    assert isinstance(card, dict)
    return card


_SENTENCE = re.compile(r"[.!?;\n]+\s")
_HINT = "Install Hibari again, or train one: python -m hibari.recipes safety"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"The prompt classifier {path} cannot be read ({error.strerror}).", hint=_HINT) from error


def _head(card: dict[str, Any], payload: bytes, folder: Path) -> Head:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        head = Head(categories=tuple(card["categories"]), **load(payload))
        fits = head.out_weight.shape == (head.hidden_weight.shape[1], len(head.categories) + 1)
    except (SafetensorError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise Refused(f"{folder / WEIGHTS} holds no prompt classifier ({error}).", hint=_HINT) from error
    if not fits:
        raise Refused(f"{folder / WEIGHTS}: its sizes are not those of its card.", hint=_HINT)
    return head


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))
