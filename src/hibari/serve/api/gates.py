"""Gates: how many may be inside at once, in all and of each name, so that nobody's slow work becomes everybody's.

`Gate` counts, `Lane` also runs: blocking work of one kind in threads that no other kind waits for. Who comes beyond a
bound is turned away at once, with a time to come back; how often somebody may come is `guard.Limiter`'s.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from hibari.serve.api.errors import too_many

_T = TypeVar("_T")
_AGAIN_S = 5.0
_MOST_OF_A_NAME = 64


class Gate:
    """At most `most` inside, and `each` of one name. `full` is what who is turned away reads. For one event loop."""

    def __init__(self, *, most: int, each: int, full: str) -> None:
        self._most, self._each, self._full = most, each, full
        self._inside: Counter[str] = Counter()

    def enter(self, name: str) -> None:
        """Count one more; raises ApiError (429) where there are enough."""
        if self._inside[name] >= self._each or self._inside.total() >= self._most:
            raise too_many(self._full, "rate_limit_exceeded", _AGAIN_S)
        self._inside[name] += 1

    def leave(self, name: str) -> None:
        """Count one less."""
        self._inside[name] -= 1
        if not self._inside[name]:
            del self._inside[name]

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be inside during the block; raises ApiError (429)."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave(name)


class Lane:
    """Blocking work: `at_once` threads of its own, `each` of them for one name, and a bounded wait for them."""

    def __init__(self, *, at_once: int, each: int, full: str) -> None:
        self._threads = CapacityLimiter(at_once)
        self._each = each
        self._gate = Gate(most=4 * at_once, each=4 * each, full=full)
        self._turns: dict[str, CapacityLimiter] = {}

    async def run(self, name: str, work: Callable[[], _T]) -> _T:
        """What the work gives, in a thread, when it is this name's turn; raises ApiError (429), and what it raises."""
        with self._gate.inside(name):
            turns = self._turns.setdefault(name, CapacityLimiter(self._each))
            try:
                async with turns:
                    return await to_thread.run_sync(work, limiter=self._threads)
            finally:
                if not turns.borrowed_tokens and not turns.statistics().tasks_waiting:
                    self._turns.pop(name, None)


def network(request: Request) -> str:
    """Where a request comes from, as far as one person's machine can choose it: IPv4 whole, of IPv6 the /64.

    An IPv4 address in an IPv6 one is the IPv4 address.
    """
    host = request.client.host if request.client is not None else "unknown"
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:  # a socket of this machine, which has no address
        return host[:_MOST_OF_A_NAME]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))


@dataclass(frozen=True, kw_only=True)
class Gates:
    """The gates of a service. Names are users', and of strangers their networks'.

    `strangers` are inside from before their file is read until it is answered, `helped` are users whose question the
    helper answers; `bodies` are being read, the `large` ones among them are counted once more; `outward` are calls to
    addresses that users name, `signing_in` those to the issuer; `probing` opens users' files, and `strange` strangers';
    `streams` are of events, `downloads` of files; `keys` are the threads that look keys up, which strangers can fill.
    """

    strangers: Gate = field(
        default_factory=lambda: Gate(most=8, each=2, full="Too many are checking files just now. Try again later.")
    )
    helped: Gate = field(
        default_factory=lambda: Gate(most=32, each=4, full="Too many checks are waiting. Try again later.")
    )
    bodies: Gate = field(
        default_factory=lambda: Gate(most=1024, each=64, full="Too many of your requests are under way.")
    )
    large: Gate = field(default_factory=lambda: Gate(most=16, each=4, full="Too many large requests are under way."))
    outward: Lane = field(
        default_factory=lambda: Lane(at_once=8, each=2, full="Too many calls to other addresses are under way.")
    )
    signing_in: Lane = field(
        default_factory=lambda: Lane(at_once=8, each=8, full="Too many are signing in just now. Try again.")
    )
    probing: Lane = field(
        default_factory=lambda: Lane(at_once=4, each=3, full="Too many of your files are being looked at.")
    )
    strange: Lane = field(
        default_factory=lambda: Lane(at_once=2, each=1, full="Too many are checking files just now. Try again later.")
    )
    streams: Gate = field(default_factory=lambda: Gate(most=1000, each=16, full="You have too many streams open."))
    downloads: Gate = field(
        default_factory=lambda: Gate(most=500, each=32, full="Too many of your downloads are under way.")
    )
    keys: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(8))
