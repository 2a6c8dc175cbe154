"""A person gets everything that is kept of them, and can have it erased; marks stay verifiable. About 2 seconds."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert, select

from hibari.provenance.fingerprint import FingerprintIndex
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Ledger, Reviews, Ruling, Screening, Source
from hibari.provenance.ledger.service_data import SECRETS
from hibari.store import Store, tables
from hibari.store.pseudonyms import pseudonym
from ledger_entries import digest, entry, frame_hash, held_item

ANNS = {"prompt": "a lark of ann climbs", "file name": "anns garden.png", "consent": '"by": "ann"', "held": "of ann is"}
ELSEWHERE = {"user_name", "generation_id", "position"}  # columns that an export does not repeat in each part
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ONLY_INSIDE = {"fingerprint_state", "house_secrets", "refusals", "workers"}


@pytest.fixture
def full(store: Store) -> Ledger:
    """A ledger in which every table has something of ann's and of bob's."""
    ledger, reviews = Ledger(store), Reviews(store)
    ledger.record(entry(1), [frame_hash(1), frame_hash(2, 0.5, "quality")])
    ledger.record(entry(2, user="bob"), [frame_hash(3)])
    ledger.record(entry(3, user="bob", replay_of=GenerationId(1)))
    ledger.record(entry(4, state="held"), [frame_hash(4)], held_item(4))
    reviews.hold(held_item(5, user="bob", file=None))
    reviews.decide(GenerationId(5), Ruling(decision="refused", reviewer="ann", note="no"))
    refused = Screening(stage="prompt", action="refuse", categories={"hate": 0.9}, reason="a rule")
    for number, user in ((6, "ann"), (7, "bob")):
        ledger.record_refusal(GenerationId(number), user, NOW, [refused])
    for user in ("ann", "bob"):
        serve(store, user)
    return ledger


def serve(store: Store, user: str) -> None:
    """Let the service have something of a user's in each of its tables."""
    at, own = {"created_at": NOW}, {"user_name": user}
    asked = {"verb": "create", "model": "tiny", "size": "96x64", "seconds": "4", "status": "completed", "progress": 100}
    asked |= {"prompt": f"a lark of {user}'s", "request": {"prompt": f"a lark of {user}'s"}, "priority": 0, "cost": 1.0}
    asked |= {"attempt": 1, "crashes": 0, "generation_id": 1, "files": {"video": f"video_{user}/video.mp4"}}
    line = {"at": NOW, "action": "video.delete", "allowed": True, "reason": "the owner's"}
    line |= {"previous": digest(""), "digest": digest(user)}
    number = {"ann": 1, "bob": 2}[user]
    key = {"id": f"key_{number}", "sha256": digest(f"key of {user}"), "hint": "wxyz"}
    clip = {"id": f"char_{number}", "name": f"{user}'s face", "file": f"char_{user}/clip.mp4", "consent": {"by": user}}
    endpoint = {"id": f"we_{number}", "name": user, "url": f"https://{user}.test", "event_types": []}
    event = {"id": f"evt_{number}", "endpoint_id": f"we_{number}", "body": f"to {user}", "attempts": 0}
    idempotent = {"key": f"{user}'s", "request_sha256": digest(user), "video_id": f"video_{number}"}
    account = {"name": user, "role": "creator", "subject": f"https://idp.test {user}", "priority": 0}
    rows: list[tuple[Table, dict[str, Any]]] = [
        (tables.users, account | at),
        (tables.api_keys, key | own | at),
        (tables.videos, asked | {"id": f"video_{number}"} | own | at),
        (tables.idempotency, idempotent | own | at),
        (tables.usage, own | {"day": "2026-11-22", "seconds": 4.0}),
        (tables.characters, clip | own | at),
        (tables.webhook_endpoints, endpoint | {"secret": f"whsec_{user}"} | own | at),
        (tables.webhook_events, event | at),
        (tables.audit, line | {"sequence": number, "actor": user, "resource": f"video/video_{number}"}),
        (tables.audit, line | {"sequence": number + 2, "actor": f"local:{user}", "resource": f"user/{user}"}),
    ]
    with store.writing() as connection:
        for table, row in rows:
            connection.execute(insert(table).values(row))


def dump(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.reading() as connection:
        return {
            table.name: [row._asdict() for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in tables.METADATA.sorted_tables
        }


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def test_an_export_is_one_document_of_everything(full: Ledger) -> None:
    document = full.export("ann")
    text = json.dumps(document, ensure_ascii=False)
    assert all(part in text for part in ANNS.values())
    assert "bob" not in text
    assert [each["id"] for each in document["generations"]] == ["hbr_0000000001", "hbr_0000000004"]
    first = document["generations"][0]
    assert [each["bits"] for each in first["fingerprints"]] == ["01" * 32, "02" * 32]
    assert first["manifest"] == "AP9qdW1iAQ==" and len(first["sources"]) == 2 and len(first["screenings"]) == 2
    assert [each["reason"] for each in document["refusals"]] == ["a rule"]
    assert [each["file"] for each in document["held_items"]] == ["held/4.mp4"]
    assert [(each["id"], each["state"]) for each in document["decisions"]] == [("hbr_0000000005", "refused")]
    kept = document["service"]
    assert {name: len(part) for name, part in kept.items()} == dict.fromkeys(kept, 1) | {"audit": 2}
    assert kept["videos"][0]["prompt"] == "a lark of ann's" and kept["characters"][0]["consent"] == {"by": "ann"}
    assert digest("key of ann") not in text and "whsec_ann" not in text, "what opens doors is no word about her"
    named = keys_of(document) | {"data", "width", "height"}  # "manifest" and "size" there
    for table in tables.METADATA.sorted_tables:
        if table.name not in ONLY_INSIDE:
            hidden = {column for name, column in SECRETS if name == table.name}
            assert set(table.columns.keys()) - ELSEWHERE - hidden <= named, table.name


def test_an_erasure_takes_what_names_the_person_and_leaves_what_verifies(full: Ledger, store: Store) -> None:
    before = {number: full.find(GenerationId(number)) for number in (1, 2, 3, 4)}
    bobs = full.export("bob")
    done = full.erase("ann")
    assert done.generations == (GenerationId(1), GenerationId(4))
    assert done.repeated == (GenerationId(3),), "a replay repeats what she asked for"
    assert (done.held_items, done.screenings, done.fingerprints) == (1, 5, 3)
    assert done.files == ("held/4.mp4",)
    assert (done.videos, done.owners) == (1, ("video_1", "char_1"))
    for number in (1, 4):
        was, now = before[number], full.find(GenerationId(number))
        assert was is not None and now is not None and now.erased_at is not None
        assert (now.user, now.request, now.seed, now.sources, now.screenings) == (None, None, None, (), ())
        for kept in ("id", "created_at", "model", "revision", "watermark_key", "manifest", "making", "delivery"):
            assert getattr(now, kept) == getattr(was, kept)
        assert now.state == ("delivered" if number == 1 else "refused"), "what was held never leaves"
    assert full.replays_of(GenerationId(1)) == (GenerationId(3),)
    assert len(full.issued_ids()) == 4
    left = dump(store)
    assert "ann" not in json.dumps(left, default=repr)
    rows = {row["sequence"]: (row["actor"], row["resource"]) for row in left["audit"]}
    assert rows[1] == (pseudonym("ann"), "video/video_1") and rows[2] == ("bob", "video/video_2")
    assert rows[3] == (pseudonym("local:ann"), "user/" + pseudonym("ann")), "the log keeps what was done"
    after = full.export("bob")
    replay = next(each for each in after["generations"] if each["id"] == "hbr_0000000003")
    assert (replay["user"], replay["request"], replay["seed"], replay["screenings"]) == ("bob", None, None, [])
    for document in (bobs, after):
        document["exported_at"] = ""
        document["generations"] = [each for each in document["generations"] if each["id"] != replay["id"]]
    assert after == bobs, "what is his own stays"
    nothing = full.export("ann")
    assert not any(nothing.pop("service").values())
    assert not any(part for name, part in nothing.items() if name not in ("user", "exported_at"))
    again = full.erase("ann")
    assert again.generations == () and again.fingerprints == 0


def test_what_repeats_an_erased_request_is_emptied_too(store: Store) -> None:
    ledger, reviews = Ledger(store), Reviews(store)
    statement = Source(
        sha256=digest("face"), relationship="inputTo", mime="image/png", title="start image", consent={"user": "ann"}
    )
    shown = [
        Source(
            sha256=digest(f"file {number}"),
            relationship="componentOf",
            mime="video/mp4",
            title="clip on the sheet",
            own_id=GenerationId(number),
        )
        for number in (1, 3, 9)
    ]
    first = {"user": "bob", "request": {"prompt": "of ann"}}
    ledger.record(entry(1, sources=(statement,)), [frame_hash(1)])
    ledger.record(entry(3, **first, replay_of=GenerationId(1), sources=(statement,)), [frame_hash(3)])
    ledger.record(entry(4, **first, replay_of=GenerationId(3), sources=()))
    ledger.record(entry(5, **first, sources=tuple(shown)))
    ledger.record(entry(6, **first, replay_of=GenerationId(1), state="held"), held=held_item(6, "bob"))
    ledger.record(entry(7, user="bob", sources=(shown[2], replace(shown[0], relationship="inputTo"))))
    reviews.hold(
        held_item(8, "bob", stage="prompt", file=None, request={"prompt": "of ann", "replay_of": "hbr_0000000003"})
    )
    reviews.hold(held_item(9, "bob", stage="prompt", file=None, request={"prompt": "of bob", "replay_of": None}))
    bobs = ledger.find(GenerationId(7))
    done = ledger.erase("ann")
    assert done.repeated == tuple(map(GenerationId, (3, 4, 5, 6)))
    assert (done.held_items, done.files) == (2, ("held/6.mp4",))
    assert "of ann" not in json.dumps(dump(store), default=repr) and '"ann"' not in json.dumps(
        dump(store), default=repr
    )
    replay, sheet, held = (ledger.find(GenerationId(number)) for number in (3, 5, 6))
    assert replay is not None and sheet is not None and held is not None
    assert (replay.user, replay.request, replay.sources, replay.state) == ("bob", None, (), "delivered")
    assert sheet.request is None and [each.own_id for each in sheet.sources] == [each.own_id for each in shown]
    assert held.state == "refused", "it never leaves"
    assert ledger.find(GenerationId(7)) == bobs, "a start image that she made is a source of what he asked for himself"
    assert [item.id for item in reviews.waiting()] == [GenerationId(9)]


def test_erased_bytes_are_gone_from_the_disk(tmp_path: Path) -> None:
    saved = tmp_path / "fingerprints.npz"
    with Store.open(tmp_path / "a.db") as store:
        ledger, words = Ledger(store, saved), b"a lark of ann climbs"
        ledger.record(entry(1), [frame_hash(7)])
        ledger.record(entry(2, user="bob"), [frame_hash(9)])
        FingerprintIndex.open(store, saved)

        def seen(what: bytes) -> bool:
            return any(what in path.read_bytes() for path in tmp_path.iterdir())

        assert seen(words) and seen(b"\x07" * 32)
        assert ledger.erase("ann").scrubbed
        assert not seen(words) and not seen(b"\x07" * 32) and seen(b"of bob climbs")
        assert len(FingerprintIndex.open(store, saved)) == 1


def test_a_reader_of_the_old_state_is_said_to_keep_traces(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db", timeout_s=0.05) as store:
        Ledger(store).record(entry(1))
        with store.reading() as reader:
            reader.execute(select(tables.generations)).all()
            assert not Ledger(store).erase("ann").scrubbed
