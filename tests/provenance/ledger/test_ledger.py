"""The ledger keeps an entry whole or not at all, and finds it again. About 3 seconds; 6 with --slow."""

import threading
from datetime import timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, text

from hibari.errors import InvalidRequest
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Ledger, Reviews, Ruling, Screening, Source
from hibari.store import Store, StoreError, tables
from ledger_entries import START, digest, entry, frame_hash, held_item

LARGEST = 2**48 - 1


def rows_of_all_tables(store: Store) -> int:
    with store.reading() as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables.METADATA.sorted_tables
        )


def test_an_entry_comes_back_as_it_was(store: Store) -> None:
    ledger = Ledger(store)
    first, second = entry(1), entry(LARGEST, replay_of=GenerationId(1), created_at=START, timestamped=False, sources=())
    ledger.record(first)
    ledger.record(second)
    assert ledger.find(first.id) == first
    assert ledger.find(second.id) == second
    assert ledger.find(GenerationId(2)) is None
    assert ledger.find_file(digest("file 1")) == first
    assert ledger.find_file(digest("file 2")) is None


def test_moments_keep_their_instant(store: Store) -> None:
    elsewhere = START.astimezone(timezone(timedelta(hours=9)))
    Ledger(store).record(entry(created_at=elsewhere))
    found = Ledger(store).find(GenerationId(1))
    assert found is not None and found.created_at == START and found.created_at.utcoffset() == timedelta(0)


def test_issued_ids(store: Store) -> None:
    ledger = Ledger(store)
    assert ledger.issued_ids().dtype == np.uint64 and not len(ledger.issued_ids())
    for number in (LARGEST, 7, 300):
        ledger.record(entry(number))
    np.testing.assert_array_equal(ledger.issued_ids(), np.array([7, 300, LARGEST], np.uint64))


def test_the_same_id_twice(store: Store) -> None:
    ledger = Ledger(store)
    ledger.record(entry(1))
    before = rows_of_all_tables(store)
    with pytest.raises(StoreError, match="hbr_0000000001 is recorded already"):
        ledger.record(entry(1, user="bob"))
    assert rows_of_all_tables(store) == before and ledger.list(user="bob") == []


def test_replays(store: Store) -> None:
    ledger = Ledger(store)
    with pytest.raises(StoreError, match="hbr_0000000001, which hbr_0000000002 replays, is not recorded"):
        ledger.record(entry(2, replay_of=GenerationId(1)))
    for number in (1, 3, 2):
        ledger.record(entry(number, replay_of=GenerationId(1) if number > 1 else None))
    assert ledger.replays_of(GenerationId(1)) == (GenerationId(2), GenerationId(3))
    assert ledger.replays_of(GenerationId(2)) == ()


def test_listing(store: Store) -> None:
    ledger = Ledger(store)
    for number in range(1, 6):
        moment = START if number in (2, 3) else START + timedelta(minutes=number)
        ledger.record(entry(number, user="bob" if number == 4 else "ann", created_at=moment))
    pages, before = [], None
    while page := ledger.list(limit=2, before=before):
        pages.append([each.id.value for each in page])
        before = page[-1].id
    assert pages == [[5, 4], [1, 3], [2]]
    assert [each.id.value for each in ledger.list(user="bob")] == [4]
    assert ledger.list(state="held") == []
    with pytest.raises(InvalidRequest, match="1 to 1000"):
        ledger.list(limit=0)
    with pytest.raises(InvalidRequest, match="not recorded"):
        ledger.list(before=GenerationId(99))


def test_what_only_shows_others_can_be_left_out(store: Store) -> None:
    ledger = Ledger(store)
    ledger.record(entry(1))
    shows = Source(sha256=digest("file 1"), relationship="componentOf", mime="video/mp4", title="a", own_id=entry(1).id)
    ledger.record(entry(2, sources=(shows,)))
    assert [each.id.value for each in ledger.list()] == [2, 1]
    assert [each.id.value for each in ledger.list(composed=False)] == [1]
    assert ledger.components_of([entry(1).id, entry(2).id]) == {entry(2).id: {entry(1).id}}


@pytest.mark.parametrize("stage", ["manifests", "sources", "verdicts", "fingerprints", "held_items"])
def test_nothing_is_half_written(store: Store, stage: str) -> None:
    before = rows_of_all_tables(store)
    with store.writing() as connection:
        connection.execute(text(f"ALTER TABLE {stage} RENAME TO elsewhere"))
    with pytest.raises(StoreError):
        Ledger(store).record(entry(1, state="held"), [frame_hash(1)], held_item(1))
    with store.writing() as connection:
        connection.execute(text(f"ALTER TABLE elsewhere RENAME TO {stage}"))
    assert rows_of_all_tables(store) == before == 1, "the one row of fingerprint_state"
    with store.reading() as connection:
        assert connection.execute(select(tables.fingerprint_state.c.next_id)).scalar() == 0


def test_writers_at_once(store: Store) -> None:
    ledger, hashes = Ledger(store), [frame_hash(1), frame_hash(2, 0.5)]
    threads = [threading.Thread(target=ledger.record, args=(entry(number), hashes)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        ids = connection.execute(select(tables.fingerprints.c.id).order_by(tables.fingerprints.c.id)).scalars().all()
    assert ids == list(range(16)) and len(ledger.issued_ids()) == 8


def test_a_refused_request_is_noted(store: Store) -> None:
    said = Screening(stage="prompt", action="refuse", categories={"hate": 1.0}, reason="a rule", advice="other words")
    Ledger(store).record_refusal(GenerationId(5), "ann", START, [said])
    assert Ledger(store).find(GenerationId(5)) is None
    refusals = Ledger(store).export("ann")["refusals"]
    assert refusals == [{"id": "hbr_0000000005", "at": START.isoformat(), **vars(said)}]


def test_what_is_held_waits_for_a_person(store: Store) -> None:
    ledger, reviews = Ledger(store), Reviews(store)
    ledger.record(entry(1, state="held"), held=held_item(1))
    ledger.record(entry(2, state="held"), held=held_item(2))
    reviews.hold(held_item(3, stage="prompt", file=None))
    assert reviews.waiting() == [held_item(1), held_item(2), held_item(3, stage="prompt", file=None)]
    decided = reviews.decide(GenerationId(1), Ruling(decision="allowed", reviewer="rita", note="a painting"))
    assert (decided.state, decided.reviewer, decided.decision_reason) == ("allowed", "rita", "a painting")
    assert decided == reviews.find(GenerationId(1)) and decided.decided_at is not None
    reviews.decide(GenerationId(2), Ruling(decision="refused", reviewer="rita", note="blood"))
    reviews.decide(GenerationId(3), Ruling(decision="refused", reviewer="rita", note="no"))
    assert [each.state for each in ledger.list()] == ["refused", "delivered"]
    assert reviews.waiting() == []
    with pytest.raises(InvalidRequest, match=r"was refused by rita already, at .* UTC: blood"):
        reviews.decide(GenerationId(2), Ruling(decision="allowed", reviewer="sam", note="looks fine"))
    with pytest.raises(InvalidRequest, match="is not held"):
        reviews.decide(GenerationId(9), Ruling(decision="allowed", reviewer="sam", note="looks fine"))
    with pytest.raises(InvalidRequest, match="empty") as caught:
        reviews.decide(GenerationId(2), Ruling(decision="allowed", reviewer="sam", note=" "))
    assert caught.value.option == "note"


def test_what_could_not_be_verified_is_not_taken(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db") as store:
        for wrong in ({"manifest": b""}, {"watermark_key": ""}, {"user": ""}, {"weights_sha256": "no digest"}):
            with pytest.raises(AssertionError):
                Ledger(store).record(entry(**wrong))
        with pytest.raises(AssertionError, match="place in the queue"):
            Ledger(store).record(entry(state="held"))
