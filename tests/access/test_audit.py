"""The audit log shows every tampering with what is in it. About 3 seconds."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from hibari.access import Actor, Audit, Decision, Resource
from hibari.access.audit import FIRST, append
from hibari.errors import InvalidRequest
from hibari.store import Store, StoreError, tables
from hibari.store.pseudonyms import pseudonym, user_resource

ANN = Actor(user="ann", role="admin")
YES = Decision(allowed=True, reason="the owner's")
NO = Decision(allowed=False, reason="it is another's")


@pytest.fixture
def audit(store: Store) -> Audit:
    """Six rows."""
    log = Audit(store)
    for number in range(1, 6):
        log.write(ANN, "video.delete", Resource(kind="video", id=f"video_{number}"), YES if number % 2 else NO)
    log.write(Actor(user="bob", role="admin"), "user.manage", Resource(kind="user", id="ann"), YES)
    return log


def change(store: Store, sequence: int, /, **values: Any) -> None:
    with store.writing() as connection:
        connection.execute(update(tables.audit).where(tables.audit.c.sequence == sequence).values(values))


def test_an_untouched_log_is_whole(audit: Audit) -> None:
    finding = audit.verify()
    newest = audit.list(limit=1)[0]
    assert (finding.whole, finding.count, finding.head) == (True, 6, newest.digest)
    assert (newest.actor, newest.action, newest.resource, newest.allowed) == ("bob", "user.manage", "user/ann", True)
    assert newest.at.tzinfo is not None


def test_an_empty_log_is_whole(store: Store) -> None:
    finding = Audit(store).verify()
    assert (finding.whole, finding.count, finding.head) == (True, 0, FIRST)
    assert not Audit(store).verify("a" * 64).whole, "what was noted earlier is gone"


@pytest.mark.parametrize(
    "values",
    [
        {"actor": "eve"},
        {"action": "video.read"},
        {"resource": "video/other"},
        {"allowed": False},
        {"reason": ""},
        {"digest": "0" * 64},
        {"previous": "0" * 64},
        {"sequence": 9},
    ],
)
def test_a_changed_row_shows(audit: Audit, store: Store, values: dict[str, Any]) -> None:
    change(store, 3, **values)
    finding = audit.verify()
    assert not finding.whole and finding.count == 6
    assert finding.broken == (4 if "sequence" in values else 3), "the first row that does not follow"


def test_a_row_that_was_made_to_fit_breaks_the_next(audit: Audit, store: Store) -> None:
    third = audit.list(before=4)[0]
    forged = type(third)(**vars(third) | {"actor": "eve"})
    change(store, 3, actor="eve", digest=forged.due_digest())
    assert audit.verify().broken == 4


@pytest.mark.parametrize(("sequence", "broken"), [(1, 2), (3, 4)])
def test_a_row_that_was_taken_out_shows(audit: Audit, store: Store, sequence: int, broken: int) -> None:
    with store.writing() as connection:
        connection.execute(delete(tables.audit).where(tables.audit.c.sequence == sequence))
    assert audit.verify().broken == broken


def test_a_cut_off_end_shows_against_a_head_that_was_noted(audit: Audit, store: Store) -> None:
    noted = audit.verify().head
    audit.write(ANN, "video.create", Resource(kind="video", id="video_7"), YES)
    assert audit.verify(noted).whole, "it has grown"
    with store.writing() as connection:
        connection.execute(delete(tables.audit).where(tables.audit.c.sequence >= 6))
    assert audit.verify().whole, "the chain alone cannot know"
    finding = audit.verify(noted)
    assert finding.broken is None and finding.known_missing and not finding.whole


def test_a_name_can_go_and_the_chain_still_holds(audit: Audit, store: Store) -> None:
    for sequence in range(1, 6):
        change(store, sequence, actor=pseudonym("ann"))
    change(store, 6, resource=user_resource(pseudonym("ann")))
    assert audit.verify().whole
    assert all("ann" not in (entry.actor, entry.resource) for entry in audit.list())
    change(store, 2, actor=pseudonym("eve"))
    assert audit.verify().broken == 2, "and another's pseudonym does not fit"


def test_many_writers_make_one_chain(store: Store) -> None:
    log = Audit(store)

    def write(number: int) -> None:
        log.write(ANN, "video.create", Resource(kind="video", id=f"video_{number}"), YES)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(24)))
    finding = log.verify()
    assert finding.whole and finding.count == 24
    assert {entry.resource for entry in log.list()} == {f"video/video_{number}" for number in range(24)}


def test_a_row_goes_with_the_transaction_that_it_tells_of(store: Store) -> None:
    log = Audit(store)
    with pytest.raises(StoreError), store.writing() as connection:
        append(connection, ANN, "video.create", Resource(kind="video", id="video_1"), YES)
        raise StoreError("the disk is full")
    assert log.verify().count == 0
    with store.writing() as connection:
        append(connection, ANN, "video.create", Resource(kind="video", id="video_1"), YES)
    with store.reading() as connection:
        assert connection.execute(select(tables.audit.c.previous)).scalars().all() == [FIRST]


def test_the_log_is_read_a_page_at_a_time(audit: Audit) -> None:
    assert [entry.sequence for entry in audit.list(limit=2)] == [6, 5]
    assert [entry.sequence for entry in audit.list(limit=2, before=5)] == [4, 3]
    assert [entry.sequence for entry in audit.list(actor="bob")] == [6]
    with pytest.raises(InvalidRequest, match="Give 1 to 1000"):
        audit.list(limit=0)
