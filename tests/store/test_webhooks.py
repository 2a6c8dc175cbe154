"""Endpoints are their owner's alone, and an event is handed out until it is delivered or given up. 3 seconds."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select

from hibari.errors import InvalidRequest
from hibari.store import Store, tables
from hibari.store.queue_rows import write_events
from hibari.store.webhooks import MOST_AT_ONCE, MOST_ATTEMPTS, MOST_ENDPOINTS, Notice, Webhooks, wait_after

URL = "https://example.org/hook"
BOTH = ["video.completed", "video.failed"]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self, connection: Connection) -> datetime:  # noqa: ARG002
        return self.at

    def wait(self, time: timedelta) -> None:
        self.at += time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def webhooks(store: Store, clock: Clock) -> Webhooks:
    return Webhooks(store, clock=clock)


def announce(store: Store, clock: Clock, *, user: str = "ann", kind: str = "video.completed") -> None:
    with store.writing() as connection:
        write_events(connection, user=user, video_id="video_1", kind=kind, now=clock.at)


def state(store: Store) -> list[tuple[int, bool, bool, str | None]]:
    """Of each event: attempts, whether there is a next one, whether it was delivered, the last error."""
    table = tables.webhook_events
    with store.reading() as connection:
        rows = connection.execute(select(table).order_by(table.c.sequence))
        return [(row.attempts, row.next_at is not None, row.delivered_at is not None, row.last_error) for row in rows]


def test_an_endpoint_is_its_owners_alone(webhooks: Webhooks) -> None:
    made, secret = webhooks.create("ann", "mine", URL, BOTH)
    assert made.id.startswith("we_") and made.secret_hint == "whsec_..." + secret[-4:]
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert webhooks.list("ann") == [made] == [webhooks.find("ann", made.id)]
    assert webhooks.list("bob") == [] and webhooks.find("bob", made.id) is None
    assert webhooks.update("bob", made.id, name="his") is None
    assert webhooks.rotate("bob", made.id) is None
    assert webhooks.sample("bob", made.id, "video.failed") is None
    assert not webhooks.delete("bob", made.id)
    changed = webhooks.update("ann", made.id, name="still mine", event_types=["video.failed"])
    assert changed is not None and (changed.name, changed.event_types) == ("still mine", ("video.failed",))
    assert changed.url == URL and webhooks.find("ann", made.id) == changed
    assert webhooks.delete("ann", made.id) and webhooks.list("ann") == []


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"url": "ftp://example.org"}, "url"),
        ({"url": "https://ann:secret@example.org"}, "url"),
        ({"url": "https://example.org/" + "x" * 2000}, "url"),
        ({"url": None}, "url"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"event_types": []}, "event_types"),
        ({"event_types": "video.failed"}, "event_types"),
        ({"event_types": ["video.failed", "batch.completed"]}, "event_types"),
        ({"event_types": [{}]}, "event_types"),
    ],
)
def test_what_an_endpoint_cannot_be(webhooks: Webhooks, wrong: dict[str, object], option: str) -> None:
    right: dict[str, object] = {"name": "mine", "url": URL, "event_types": BOTH}
    with pytest.raises(InvalidRequest) as caught:
        webhooks.create("ann", **(right | wrong))  # type: ignore[arg-type]
    assert caught.value.option == option and webhooks.list("ann") == []
    made, _ = webhooks.create("ann", **right)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        webhooks.update("ann", made.id, **wrong)
    assert webhooks.find("ann", made.id) == made


def test_a_user_has_so_many_endpoints(webhooks: Webhooks) -> None:
    for number in range(MOST_ENDPOINTS):
        webhooks.create("ann", f"number {number}", URL, BOTH)
    with pytest.raises(InvalidRequest, match="20 endpoints already"):
        webhooks.create("ann", "one more", URL, BOTH)
    webhooks.create("bob", "his first", URL, BOTH)


def test_many_at_once_make_no_more_than_there_may_be(store: Store) -> None:
    """Postgres lets several count at once, unless they wait for each other."""
    webhooks = Webhooks(store)

    def tried(number: int) -> bool:
        try:
            webhooks.create("ann", f"number {number}", URL, BOTH)
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(tried, range(32))) == MOST_ENDPOINTS


def test_an_event_goes_to_who_asked_for_it(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    both, _ = webhooks.create("ann", "both", URL, BOTH)
    failures, _ = webhooks.create("ann", "failures", URL, ["video.failed"])
    webhooks.create("bob", "his", URL, BOTH)
    announce(store, clock)
    [told] = webhooks.due(10)
    assert (told.endpoint_id, told.url, told.attempt) == (both.id, URL, 1)
    body = json.loads(told.body)
    assert body["id"] == told.id and body["type"] == "video.completed" and body["data"] == {"id": "video_1"}
    webhooks.delivered(told)
    announce(store, clock, kind="video.failed")
    assert {one.endpoint_id for one in webhooks.due(10)} == {both.id, failures.id}


def test_one_at_a_time_for_each_endpoint(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    slow, _ = webhooks.create("ann", "slow", URL, BOTH)
    other, _ = webhooks.create("bob", "other", URL, BOTH)
    for _ in range(2):
        announce(store, clock)
    announce(store, clock, user="bob")
    first, of_bob = sorted(webhooks.due(10), key=lambda one: one.endpoint_id != slow.id)
    assert (first.endpoint_id, of_bob.endpoint_id) == (slow.id, other.id)
    assert Webhooks(store, clock=clock).due(10) == [], "not by another process either"
    webhooks.failed(first, "It answered with status 500.")
    [second] = webhooks.due(10)
    assert second.endpoint_id == slow.id and second.id != first.id, "what failed waits, and the next is told"
    clock.wait(wait_after(1))
    assert webhooks.due(10) == [], "also not the first again, before the second is heard"
    webhooks.delivered(second)
    assert [(one.id, one.attempt) for one in webhooks.due(10)] == [(first.id, 2)]


def test_a_delivered_event_is_told_no_more(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    webhooks.create("ann", "mine", URL, BOTH)
    announce(store, clock)
    [told] = webhooks.due(1)
    webhooks.delivered(told)
    clock.wait(timedelta(days=2))
    assert webhooks.due(1) == [] and state(store) == [(1, False, True, None)]


def test_a_sender_that_dies_loses_nothing(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    webhooks.create("ann", "mine", URL, BOTH)
    announce(store, clock)
    [first] = webhooks.due(1)
    clock.wait(timedelta(seconds=59))
    assert webhooks.due(1) == []
    clock.wait(timedelta(seconds=2))
    [second] = webhooks.due(1)
    assert (second.id, second.body, second.attempt) == (first.id, first.body, 2)
    webhooks.delivered(first)  # it was only slow, and no longer has a say
    assert state(store) == [(2, True, False, None)]


def test_ten_attempts_ever_further_apart(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    webhooks.create("ann", "mine", URL, BOTH)
    announce(store, clock)
    ids = set()
    for attempt in range(1, MOST_ATTEMPTS + 1):
        [told] = webhooks.due(1)
        assert told.attempt == attempt
        ids.add(told.id)
        webhooks.failed(told, "status 500")
        assert webhooks.due(1) == []
        clock.wait(wait_after(attempt))
    assert webhooks.due(1) == [] and len(ids) == 1
    assert state(store) == [(MOST_ATTEMPTS, False, False, "status 500")]
    assert [wait_after(number).total_seconds() for number in (1, 2, 3, 7, 9)] == [5, 20, 80, 20480, 21600]


def test_both_secrets_sign_for_a_day(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    made, old = webhooks.create("ann", "mine", URL, BOTH)
    rotated = webhooks.rotate("ann", made.id)
    assert rotated is not None and rotated[1] != old
    announce(store, clock)
    assert [one.secrets for one in webhooks.due(1)] == [(rotated[1], old)]
    clock.wait(timedelta(hours=24, seconds=1))
    assert [one.secrets for one in webhooks.due(1)] == [(rotated[1],)]
    third = webhooks.rotate("ann", made.id, keep_old=False)
    assert third is not None
    sample = webhooks.sample("ann", made.id, "video.failed")
    assert isinstance(sample, Notice) and sample.secrets == (third[1],) and old not in repr(sample)
    assert json.loads(sample.body)["type"] == "video.failed"


def test_forgetting_keeps_what_is_still_to_be_told(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    made, _ = webhooks.create("ann", "mine", URL, BOTH)
    announce(store, clock)
    [told] = webhooks.due(1)
    webhooks.delivered(told)
    announce(store, clock)
    clock.wait(timedelta(days=40))
    assert webhooks.forget(clock.at - timedelta(days=50)) == 0
    assert webhooks.forget(clock.at - timedelta(days=30)) == 1
    assert state(store) == [(0, True, False, None)]
    webhooks.delete("ann", made.id)
    assert state(store) == []


def test_a_due_row_without_attempts_left_is_left_alone(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    made, _ = webhooks.create("ann", "mine", URL, BOTH)
    row = {"id": "evt_1", "endpoint_id": made.id, "body": "{}", "created_at": clock.at, "attempts": MOST_ATTEMPTS}
    with store.writing() as connection:
        connection.execute(insert(tables.webhook_events).values(row | {"next_at": clock.at}))
    assert webhooks.due(1) == []
    assert webhooks.forget(clock.at + timedelta(seconds=1)) == 1


def test_one_users_endpoints_leave_room_for_anothers(store: Store, webhooks: Webhooks, clock: Clock) -> None:
    for number in range(MOST_AT_ONCE + 2):
        webhooks.create("ann", f"hook {number}", URL, BOTH)
    webhooks.create("bob", "mine", URL, BOTH)
    announce(store, clock)
    clock.wait(timedelta(seconds=1))
    announce(store, clock, user="bob")
    first = webhooks.due(100)
    mine = {endpoint.id for endpoint in webhooks.list("ann")}
    assert [notice.endpoint_id in mine for notice in first] == [True] * MOST_AT_ONCE + [False]
    assert webhooks.due(100) == [], "as many of hers are under way as may be"
    webhooks.delivered(first[0])
    assert [notice.endpoint_id in mine for notice in webhooks.due(100)] == [True]
