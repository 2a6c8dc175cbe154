"""How far a long list of things is, on standard error: a counter on a terminal, and once what it will come to."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

PACE_AT = 2  # the first one also loads what is loaded late
WORTH_SAYING = 60.0  # seconds still to go from which the pace is told

Thing = TypeVar("Thing")


class Counter:
    """Tells of things that are done one after the other, from when it was made; `clock` is in seconds."""

    def __init__(self, what: str = "clip", clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.clock = what, clock
        self._before = clock()

    def __call__(self, done: int, total: int) -> None:
        """One more is done."""
        now = self.clock()
        seconds, self._before = now - self._before, now
        left = seconds * (total - done)
        if done == PACE_AT and left > WORTH_SAYING:
            minutes = round(left / 60)
            pace = f"{seconds:.1f} s a {self.what}: about {minutes} minute{'s'[: minutes > 1]} to go"
            print(f"{_over()}{pace}", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            text = f"{self.what} {done} of {total}" if done < total else ""
            print(f"{_over()}{text}", end="", file=sys.stderr, flush=True)


def counted(things: Iterable[Thing], total: int, what: str = "clip") -> Iterator[Thing]:
    """The same things, told as they come."""
    tell = Counter(what)
    for done, thing in enumerate(things, 1):
        tell(done, total)
        yield thing


def _over() -> str:
    """What goes before a line that is written over the last one."""
    return "\r\033[K" if sys.stderr.isatty() else ""
