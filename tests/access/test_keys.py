"""A key opens until it expires, is revoked, or its user is shut out; only its digest is kept. About 2 seconds."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hibari.access import Keys, UserLimits, Users
from hibari.access.keys import MAX_CACHED
from hibari.errors import InvalidRequest
from hibari.store import Store
from queries import statements

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: Store, clock: Clock) -> Iterator[Keys]:
    users = Users(store)
    users.add("ann", "creator")
    users.add("bob", "viewer")
    made = Keys(store, clock=clock)
    yield made
    made.close()


def test_a_key_leads_to_its_user_and_their_limits(keys: Keys, store: Store, clock: Clock) -> None:
    Users(store).set_limits("ann", UserLimits(jobs_at_once=2))
    token, record = keys.create("ann", scopes=["video.read", "video.list", "video.read"])
    assert re.fullmatch(r"hk-[A-Za-z0-9_-]{43}", token) and record.hint == token[-4:]
    actor = keys.authenticate(token)
    assert actor is not None
    assert (actor.user, actor.role, actor.key_id, actor.limits.jobs_at_once) == ("ann", "creator", record.id, 2)
    assert actor.scopes == record.scopes == {"video.read", "video.list"}
    clock.pass_seconds(1)
    other, _ = keys.create("bob")
    assert other != token and keys.authenticate(other) != actor
    assert [each.user for each in keys.list()] == ["ann", "bob"] and [each.user for each in keys.list("bob")] == ["bob"]


@pytest.mark.parametrize("change", ["", "hk-", "cut", "longer", "case", "\x00", "hk-\ud800", "x" * 100_000])
def test_what_is_not_a_key_opens_nothing(keys: Keys, change: str) -> None:
    token, _ = keys.create("ann")
    spoilt = {"cut": token[:-1], "longer": token + "A", "case": token.swapcase()}.get(change, change)
    assert keys.authenticate(spoilt) is None
    assert keys.authenticate(token) is not None


def test_no_key_is_on_the_disk(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db") as store:
        Users(store).add("ann", "creator")
        token, _ = Keys(store).create("ann")
        keys = Keys(store)
        assert keys.authenticate(token) is not None
        keys.close()
        assert not any(token[3:40].encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_a_key_ends_when_it_expires_even_when_it_is_remembered(keys: Keys, clock: Clock) -> None:
    token, _ = keys.create("ann", expires_at=START + timedelta(seconds=3))
    assert keys.authenticate(token) is not None
    clock.pass_seconds(2.9)
    assert keys.authenticate(token) is not None
    clock.pass_seconds(0.1)
    assert keys.authenticate(token) is None
    with pytest.raises(InvalidRequest, match="expired already"):
        keys.create("ann", expires_at=clock.now)


def test_a_revoked_key_opens_nothing_here_and_elsewhere_for_5_seconds_at_most(
    keys: Keys, store: Store, clock: Clock
) -> None:
    elsewhere = Keys(store, clock=clock)
    token, record = keys.create("ann")
    assert keys.authenticate(token) is not None and elsewhere.authenticate(token) is not None
    revoked = keys.revoke(record.id)
    assert revoked.revoked_at == START and keys.authenticate(token) is None
    assert elsewhere.authenticate(token) is not None, "remembered"
    clock.pass_seconds(5)
    assert elsewhere.authenticate(token) is None
    elsewhere.close()
    assert keys.revoke(record.id).revoked_at == START, "the first moment stands"
    with pytest.raises(InvalidRequest, match="is no key here"):
        keys.revoke("key_0")


def test_a_disabled_user_has_no_key(keys: Keys, store: Store, clock: Clock) -> None:
    token, _ = keys.create("ann")
    assert keys.authenticate(token) is not None
    Users(store).disable("ann")
    clock.pass_seconds(5)
    assert keys.authenticate(token) is None
    Users(store).enable("ann")
    assert keys.authenticate(token) is not None


def test_a_clock_that_was_set_back_makes_no_memory_longer(keys: Keys, store: Store, clock: Clock) -> None:
    token, record = keys.create("ann")
    assert keys.authenticate(token) is not None
    Keys(store, clock=clock).revoke(record.id)
    clock.pass_seconds(-3600)
    assert keys.authenticate(token) is None


def test_requests_write_nothing_but_the_last_use_once_a_minute(keys: Keys, store: Store, clock: Clock) -> None:
    token, _ = keys.create("ann")
    with statements(store.engine) as asked:
        assert keys.authenticate(token) is not None
        keys.close()
    assert asked.count("UPDATE") == 1
    with statements(store.engine) as asked:
        for _ in range(10):
            clock.pass_seconds(0.4)
            keys.authenticate(token)
    assert asked == [], "remembered"
    with statements(store.engine) as asked:
        for _ in range(9):
            clock.pass_seconds(6)
            keys.authenticate(token)
        keys.close()
    assert "UPDATE" not in asked and "SELECT" in asked
    assert keys.list()[0].last_used_at == START
    clock.pass_seconds(6)
    keys.authenticate(token)
    keys.close()
    assert keys.list()[0].last_used_at == clock.now


def test_nobody_waits_for_the_last_use_to_be_written(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with Store.open(tmp_path / "a.db", timeout_s=0.3) as store, Store.open(tmp_path / "a.db") as other:
        Users(store).add("ann", "creator")
        keys = Keys(store, clock=clock)
        token, _ = keys.create("ann")
        with other.writing():  # SQLite has one writer, and it is not us
            began = time.monotonic()
            assert keys.authenticate(token) is not None
            assert time.monotonic() - began < 0.2
            keys.close()
            assert "last used is not written" in caplog.text
            clock.pass_seconds(10)
            assert keys.authenticate(token) is not None
            keys.close()
        assert caplog.text.count("is not written") == 1, "once a minute, also where it fails"
        clock.pass_seconds(50)
        assert keys.authenticate(token) is not None
        keys.close()
        assert keys.list()[0].last_used_at == clock.now


def test_what_is_remembered_has_an_end(keys: Keys, clock: Clock) -> None:
    first, _ = keys.create("ann")
    assert keys.authenticate(first) is not None
    for number in range(MAX_CACHED + 5):
        assert keys.authenticate(f"hk-{number}") is None
    assert len(keys._seen) == 1, "who is nobody takes no room"
    clock.pass_seconds(5)
    assert keys.authenticate(first) is not None


def test_bad_keys_are_not_made(keys: Keys) -> None:
    with pytest.raises(InvalidRequest, match=r"'video\.fly' is not a scope\. Allowed: video\.create"):
        keys.create("ann", scopes=["video.read", "video.fly"])
    with pytest.raises(InvalidRequest, match="'eve' is no user here"):
        keys.create("eve")
    assert keys.list() == []
    _, record = keys.create("ann", scopes=[])
    assert record.scopes == frozenset(), "a key for nothing is not a key for everything"
