"""The recipe of the prompt classifier: a small network on MiniLM sentence vectors, from prompts in `safety/shipped`.

Prompts of one template are one family. The card's scores are those of a cross-validation that never splits a family,
each part judged by a network that saw none of its templates; the weights that are kept have seen all.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hibari import catalog
from hibari.config import Settings
from hibari.errors import TrainingError
from hibari.model.text import MiniLMTextEncoder
from hibari.safety.categories import CATEGORIES
from hibari.safety.classifier import Embed, Head, save, sentence_vectors
from hibari.safety.folding import SHIPPED, normalise

BATCH = 128  # prompts that are encoded at once


@dataclass(frozen=True, kw_only=True)
class SafetyTraining:
    """How the head is trained. `out` "" is the run's folder; out=src/hibari/safety/shipped replaces the shipped one.

    `vectors` is a .npz file that keeps sentence vectors between runs ("": none); they are of one encoder and one only.
    """

    prompts: str = str(SHIPPED / "prompts.jsonl")
    model: str = "hibari-mini"
    hidden: int = 48
    steps: int = 250
    lr: float = 0.01
    weight_decay: float = 0.02
    dropout: float = 0.2
    noise: float = 0.01
    sibling_weight: float = 0.2
    folds: int = 3
    seed: int = 3
    threshold: float = 0.6
    vectors: str = ""
    out: str = ""


SAFETY = SafetyTraining()


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One line of the training set."""

    text: str
    category: str | None
    unsafe: bool
    family: str


def run(recipe: SafetyTraining, out: Path) -> Path:
    """Train, cross-validate and write weights and card into `out`; raises TrainingError."""
    prompts = read_prompts(Path(recipe.prompts))
    embed = sentence_vectors(MiniLMTextEncoder.load(catalog.find(recipe.model, Settings.load()).folder))
    vectors = torch.from_numpy(vectors_of(prompts, embed, Path(recipe.vectors) if recipe.vectors else None))
    categories = tuple(name for name in CATEGORIES if any(prompt.category == name for prompt in prompts))
    targets, weights = _targets(prompts, categories, recipe)
    families = [prompt.family for prompt in prompts]
    fold_of = _folds(families, recipe)
    seen = np.zeros((len(prompts), len(categories)), dtype=np.float32)
    for fold in range(recipe.folds):
        held = torch.tensor([fold_of[family] == fold for family in families])
        head = _fit(vectors[~held], targets[~held], weights[~held], categories, recipe)
        seen[held.numpy()] = head.scores(vectors[held].numpy())
    head = _fit(vectors, targets, weights, categories, recipe)
    save(head, out, embed, _card(prompts, categories, seen, recipe))
    return out


def read_prompts(path: Path) -> list[Prompt]:
    """The training set; raises TrainingError for a line that is none, or a category that may have no examples."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        prompts = [Prompt(**json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{path}: no training prompts ({error}).") from error
    for prompt in prompts:
        if prompt.unsafe != (prompt.category in CATEGORIES) or prompt.category == "child_sexual_exploitation":
            raise TrainingError(f"{path}: {prompt.category!r} cannot be trained on.")
    return prompts


def encode(embed: Embed, texts: Sequence[str]) -> np.ndarray:
    """Sentence vectors `(N, D)`, a batch at a time; like lengths go together, which is several times as fast."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    made = np.concatenate(
        [embed([texts[index] for index in order[at : at + BATCH]]) for at in range(0, len(order), BATCH)]
    )
    return made[np.argsort(order)]


def vectors_of(prompts: Sequence[Prompt], embed: Embed, kept: Path | None) -> np.ndarray:
    """Sentence vectors of all prompts, those in the file `kept` read from there, and the rest written to it."""
    texts = [normalise(prompt.text) for prompt in prompts]
    known: dict[str, np.ndarray] = {}
    if kept is not None and kept.exists():
        with np.load(kept) as stored:
            known = dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))
    if fresh := [text for text in dict.fromkeys(texts) if text not in known]:
        known |= zip(fresh, encode(embed, fresh), strict=True)
    if kept is not None:
        np.savez(kept, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[text] for text in texts])


def _targets(prompts: Sequence[Prompt], categories: Sequence[str], recipe: SafetyTraining) -> tuple[Tensor, Tensor]:
    """Ones where a prompt is of a category (the last column: of any), and how much each answer counts.

    An unsafe prompt may be of a second category that nobody wrote down, so its zeros count for little.
    """
    targets = torch.zeros(len(prompts), len(categories) + 1)
    weights = torch.ones_like(targets)
    for row, prompt in enumerate(prompts):
        if prompt.category is not None:
            weights[row, :-1] = recipe.sibling_weight
            targets[row, [categories.index(prompt.category), -1]] = 1.0
            weights[row, categories.index(prompt.category)] = 1.0
    shares = targets[:, :-1].sum(0) / len(prompts)
    weights[:, :-1] *= torch.where(targets[:, :-1] > 0, (0.08 / shares).clamp(1, 3), 1.0)
    return targets, weights


def _folds(families: Sequence[str], recipe: SafetyTraining) -> dict[str, int]:
    """Each family's fold; the families of one kind are dealt out evenly."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for family in sorted(set(families)):
        kinds[family.rsplit("-", 1)[0]].append(family)
    rng = np.random.default_rng(recipe.seed)
    return {
        str(family): place % recipe.folds
        for members in kinds.values()
        for place, family in enumerate(rng.permutation(members))
    }


def _fit(
    vectors: Tensor, targets: Tensor, weights: Tensor, categories: tuple[str, ...], recipe: SafetyTraining
) -> Head:
    """Train a head on all given prompts at once."""
    torch.manual_seed(recipe.seed)
    hidden = nn.Linear(vectors.shape[1], recipe.hidden)
    out = nn.Linear(recipe.hidden, targets.shape[1])
    parameters = [*hidden.parameters(), *out.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    for _ in range(recipe.steps):
        noisy = F.normalize(vectors + recipe.noise * torch.randn_like(vectors), dim=1)
        x = hidden(noisy)
        y = out(F.dropout(x * torch.sigmoid(1.702 * x), recipe.dropout))
        loss = F.binary_cross_entropy_with_logits(y, targets, weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        return Head(
            categories=categories,
            hidden_weight=hidden.weight.T.contiguous().numpy(),
            hidden_bias=hidden.bias.numpy(),
            out_weight=out.weight.T.contiguous().numpy(),
            out_bias=out.bias.numpy(),
        )


def _card(
    prompts: Sequence[Prompt], categories: Sequence[str], seen: np.ndarray, recipe: SafetyTraining
) -> dict[str, Any]:
    """What it is, what it was trained on, and how it did on templates that it had not seen."""
    flagged = seen.max(1) >= recipe.threshold
    unsafe = np.array([prompt.unsafe for prompt in prompts])
    caught = {
        name: _share(flagged, mask)
        for name in categories
        for mask in [np.array([prompt.category == name for prompt in prompts])]
    }
    alarms = {
        kind: _share(flagged, mask)
        for kind in sorted({prompt.family.rsplit("-", 1)[0] for prompt in prompts if not prompt.unsafe})
        for mask in [np.array([prompt.family.rsplit("-", 1)[0] == kind for prompt in prompts])]
    }
    return {
        "about": "Scores of harm of a prompt for video, from the mean of all-MiniLM-L6-v2's token states. English. "
        "It is one voice of a screen of several and no judge of people.",
        "licence": "Apache-2.0",
        "trained_on": "prompts.jsonl beside this card, written for Hibari; none is about sexual content with minors.",
        "command": "python -m hibari.recipes safety out=src/hibari/safety/shipped",
        "prompts": {"unsafe": int(unsafe.sum()), "harmless": int((~unsafe).sum())},
        "cross_validation": {
            "folds": recipe.folds,
            "split": "by template: no template of a judged prompt was seen",
            "threshold": recipe.threshold,
            "caught": _share(flagged, unsafe),
            "false_alarms": _share(flagged, ~unsafe),
            "caught_by_category": caught,
            "false_alarms_by_kind": alarms,
        },
    }


def _share(flagged: np.ndarray, among: np.ndarray) -> dict[str, Any]:
    """How many of some prompts were flagged."""
    hits, trials = int(flagged[among].sum()), int(among.sum())
    return {"hits": hits, "of": trials, "share": round(hits / max(1, trials), 4)}
