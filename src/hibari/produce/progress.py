"""How far a production is, and where its time went."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a production is: `done` of `total` in a stage ("load", "screen", "denoise", "frames" or "sign")."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


@dataclass
class Stopwatch:
    """Seconds spent in each stage, by a clock; a stage inside another is not counted twice."""

    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict)
    _inner: list[float] = field(default_factory=list)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = self.clock()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent, inner = self.clock() - start, self._inner.pop()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent - inner
            if self._inner:
                self._inner[-1] += spent
