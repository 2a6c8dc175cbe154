"""How sure a measured share, or a mean, is."""

from collections.abc import Sequence
from math import sqrt
from typing import Any, NamedTuple, Self

import numpy as np

Z95 = 1.959963984540054  # two-sided 95% of the normal distribution
RESAMPLES = 2000


class Share(NamedTuple):
    """`hits` out of `trials`."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        return self.hits / self.trials if self.trials else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% score interval (Wilson 1927): it stays inside 0..1 and holds for few trials."""
        if not self.trials:
            return 0.0, 1.0
        n, p, z2 = self.trials, self.value, Z95**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z95 / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, Any]:
        """The share as plain values, for JSON."""
        low, high = self.interval
        return {
            "hits": self.hits,
            "of": self.trials,
            "share": round(self.value, 4),
            "low": round(low, 4),
            "high": round(high, 4),
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%}, {self.hits} of {self.trials})"


class Mean(NamedTuple):
    """The mean of some values with its 95% interval, by drawing the values again (Efron 1979): no shape is assumed."""

    value: float
    low: float
    high: float
    trials: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The mean of at least one value."""
        assert values, "no values"
        drawn = np.random.default_rng(0).choice(np.asarray(values, float), (RESAMPLES, len(values))).mean(1)
        low, high = np.quantile(drawn, (0.025, 0.975))
        return cls(float(np.mean(values)), float(low), float(high), len(values))

    def as_dict(self) -> dict[str, Any]:
        """The mean as plain values, for JSON."""
        return {"mean": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4), "of": self.trials}
