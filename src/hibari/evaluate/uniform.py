"""How far what was seen is from what was to come up alike: total variation, and how far chance alone goes.

Each observation has a target of its own, since not every kind has every choice: the target of all of them together is
the mean. Legend: N observations, C classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Observed:
    """`classes` C names; `seen` (N,) which was seen; `targets` (N, C) each one's own; `kinds` (N,) what it is of."""

    classes: tuple[str, ...]
    seen: np.ndarray
    targets: np.ndarray
    kinds: np.ndarray

    def only(self, kind: str) -> "Observed":
        """Those of one kind."""
        rows = self.kinds == kind
        return Observed(classes=self.classes, seen=self.seen[rows], targets=self.targets[rows], kinds=self.kinds[rows])


def distance(observed: Observed) -> float:
    """Total variation between the shares seen and the target: half the sum of what they differ by, 0 to 1."""
    shares = np.bincount(observed.seen, minlength=len(observed.classes)) / max(1, len(observed.seen))
    return float(0.5 * np.abs(shares - observed.targets.mean(0)).sum()) if len(observed.seen) else 1.0


def summarise(observed: Observed) -> dict[str, Any]:
    """Shares, their distance from the target with its 95% interval by drawing the observations again, and chance's.

    `chance` is what a maker that draws each observation from its target gets at as many: the mean, and what it exceeds
    in one case of twenty. No distance below that mean can be asked of anybody. `same` is the share of pairs of one kind
    that show the same class: the shares of all kinds together can be even while each kind has its own stereotype, and
    such pairs tell. `same by chance` is its 95% range of the maker that draws from the target.
    """
    number, size = len(observed.seen), len(observed.classes)
    shares = np.bincount(observed.seen, minlength=size) / max(1, number)
    result: dict[str, Any] = {
        "of": number,
        "shares": dict(zip(observed.classes, shares.round(4).tolist(), strict=True)),
    }
    if not number:
        return result
    target = observed.targets.mean(0)
    result["target"] = dict(zip(observed.classes, target.round(4).tolist(), strict=True))
    rng = np.random.default_rng(SEED)
    rows_DN = rng.integers(number, size=(DRAWS, number))
    again = _distances(observed.seen[rows_DN], observed.targets[rows_DN].mean(1), size)
    drawn_DN = _draws(rng, observed.targets)
    chance = _distances(drawn_DN, target, size)
    low, high = np.quantile(again, (0.025, 0.975))
    result["distance"] = {
        "value": round(distance(observed), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }
    result["chance"] = {"mean": round(float(chance.mean()), 4), "high": round(float(np.quantile(chance, 0.95)), 4)}
    pairs = _pairs(observed.kinds)
    if len(pairs):
        range_of = np.quantile(_same(drawn_DN, pairs), (0.025, 0.975)).round(4).tolist()
        result["same"] = {"share": round(float(_same(observed.seen[None], pairs)[0]), 4), "pairs": len(pairs)}
        result["same by chance"] = range_of
    return result


def _distances(seen_DN: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    shares_DC = np.stack([(seen_DN == which).mean(1) for which in range(size)], 1)
    distances: np.ndarray = 0.5 * np.abs(shares_DC - target).sum(1)
    return distances


def _draws(rng: np.random.Generator, targets_NC: np.ndarray) -> np.ndarray:
    """`(DRAWS, N)` classes, each drawn from its own target."""
    steps_NC = targets_NC.cumsum(1)
    chance_DN = rng.random((DRAWS, len(targets_NC)))
    drawn: np.ndarray = (chance_DN[..., None] >= steps_NC[:, :-1]).sum(2)
    return drawn


def _pairs(kinds: np.ndarray) -> np.ndarray:
    """Every two observations that are of one kind and stand next to each other, `(P, 2)`."""
    order = np.argsort(kinds, kind="stable")
    together = kinds[order[1:]] == kinds[order[:-1]]
    return np.stack([order[:-1][together], order[1:][together]], 1)


def _same(seen_DN: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    shares: np.ndarray = (seen_DN[:, pairs[:, 0]] == seen_DN[:, pairs[:, 1]]).mean(1)
    return shares
