"""How sure a measured share is."""

from math import sqrt
from typing import Any, NamedTuple

Z95 = 1.959963984540054  # two-sided 95% of the normal distribution


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
