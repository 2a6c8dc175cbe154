"""Who is slow waits alone: gates and lanes, where a request comes from, and how often it may. About 3 seconds."""

import asyncio
import threading
import time

import pytest
from starlette.requests import Request

from hibari.serve.api.errors import ApiError
from hibari.serve.api.gates import Gate, Gates, Lane, network
from hibari.serve.api.guard import MAX_KNOWN, Limiter


def from_host(host: str) -> Request:
    return Request({"type": "http", "client": (host, 1), "headers": []})


def test_a_gate_counts_all_and_each() -> None:
    gate = Gate(most=3, each=2, full="No room.")
    gate.enter("ann")
    gate.enter("ann")
    with pytest.raises(ApiError, match="No room") as caught:
        gate.enter("ann")
    assert caught.value.status == 429 and caught.value.headers["retry-after"] == "5"
    with gate.inside("bob"), pytest.raises(ApiError):
        gate.enter("eve")
    gate.enter("eve")
    for name in ("ann", "ann", "eve"):
        gate.leave(name)
    assert not gate._inside, "who has left is forgotten"


def test_a_lane_has_threads_of_its_own_and_a_bound() -> None:
    """Forty and more slow calls of one user: another's call, and everybody's database, go on."""
    held = threading.Event()

    async def crowd() -> tuple[float, int]:
        lane = Lane(at_once=4, each=2, full="Too many.")
        slow = [asyncio.create_task(lane.run("ann", held.wait)) for _ in range(60)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        assert await lane.run("bob", lambda: "here") == "here"
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 1) == 1
        seconds = time.monotonic() - began
        held.set()
        ended = await asyncio.gather(*slow, return_exceptions=True)
        assert not lane._turns, "who has left is forgotten"
        return seconds, sum(isinstance(one, ApiError) and one.status == 429 for one in ended)

    seconds, turned_away = asyncio.run(crowd())
    assert seconds < 1 and turned_away == 60 - 8


def test_a_lane_runs_no_more_at_once_than_it_says() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    async def crowd() -> None:
        lane = Lane(at_once=2, each=2, full="Too many.")
        await asyncio.gather(*(lane.run(name, work) for name in "abcdefgh"))

    asyncio.run(crowd())
    assert most == 2


@pytest.mark.parametrize(
    ("host", "known_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a socket" * 100, "a socket" * 8),
    ],
)
def test_a_network_is_what_one_person_can_choose(host: str, known_as: str) -> None:
    assert network(from_host(host)) == known_as


def test_a_limiter_remembers_no_more_than_it_says_and_users_apart_from_strangers() -> None:
    now = 0.0
    limiter = Limiter(lambda: now)
    assert limiter.take("user", "ann", 1) == 0
    for number in range(MAX_KNOWN + 50):
        assert limiter.take("stranger", str(number), 1) == 0
    assert limiter.take("user", "ann", 1) == 60, "no stranger pushed ann out"
    assert len(limiter._kinds["stranger"]) == MAX_KNOWN
    now = 30.0
    assert limiter.take("user", "ann", 1) == 30
    now = 60.0
    assert limiter.take("user", "ann", 1) == 0


def test_strangers_have_a_small_place_of_their_own() -> None:
    gates = Gates()
    for number in range(8):
        gates.strangers.enter(f"192.0.2.{number}")
    with pytest.raises(ApiError):
        gates.strangers.enter("192.0.2.9")
    gates.helped.enter("ann")
