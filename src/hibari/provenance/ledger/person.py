"""A person's rights: everything that is kept of them in one document, and its erasure."""

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, delete, select, update

from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import service_data
from hibari.provenance.ledger.entry import Screening
from hibari.provenance.ledger.reviews import item_of
from hibari.provenance.ledger.rows import read_entries, screening_of
from hibari.store import tables

_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What was erased. `files` are those of held items, which the caller removes (`HeldFiles.remove`) once this stands.

    `owners` are the ids of the service's `videos` and characters, whose files the caller clears from where they lie;
    `service_rows` counts all that the service kept, keys and quotas too.

    `repeated` are generations of others that lost their request, which repeated one of the user's: replays, and sheets
    that show them. `scrubbed` says that no readable trace is left in the database's files (SQLite; elsewhere the
    server's own time).
    """

    generations: tuple[GenerationId, ...]
    repeated: tuple[GenerationId, ...]
    held_items: int
    screenings: int
    fingerprints: int
    files: tuple[str, ...]
    videos: int
    service_rows: int
    owners: tuple[str, ...]
    scrubbed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was kept of the user."""
        return not (self.generations or self.service_rows or self.held_items or self.screenings or self.files)

    def scrubbed_if(self, scrubbed: bool) -> Self:
        """The same, with the word of the store on its files."""
        return replace(self, scrubbed=scrubbed)

    def as_dict(self) -> dict[str, Any]:
        """What was erased as plain values, for JSON."""
        ids = {name: [str(each) for each in getattr(self, name)] for name in ("generations", "repeated")}
        return vars(self) | ids


def export(connection: Connection, user: str, at: datetime) -> dict[str, Any]:
    """Everything of a user: generations whole, verdicts without a generation, held items, decisions as a reviewer."""
    table, held = tables.generations, tables.held_items
    mine = select(table).where(table.c.user_name == user).order_by(table.c.created_at, table.c.id)
    entries = read_entries(connection, connection.execute(mine))
    hashes = _hashes(connection, [entry.id.value for entry in entries])
    generations = []
    for entry in entries:
        more = {
            "manifest": base64.b64encode(entry.manifest).decode("ascii"),
            "fingerprints": hashes.get(entry.id.value, []),
        }
        generations.append(entry.as_dict() | more)
    items = connection.execute(select(held).where(held.c.user_name == user).order_by(held.c.created_at))
    decided = connection.execute(select(held).where(held.c.reviewer == user).order_by(held.c.decided_at))
    return {
        "user": user,
        "exported_at": at.isoformat(),
        "generations": generations,
        "refusals": _refusals(connection, user, {entry.id.value for entry in entries}),
        "held_items": [
            item_of(row).as_dict() | {"reviewer": None} for row in items
        ],  # their name is not this user's data
        "decisions": [
            {
                "id": str(GenerationId(row.generation_id)),
                "state": row.state,
                "decided_at": row.decided_at.isoformat(),
                "reason": row.decision_reason,
            }
            for row in decided
        ],
        "service": service_data.export(connection, user),
    }


def erase(connection: Connection, user: str, at: datetime) -> Erasure:
    """Empty, in this transaction, whatever names the user or what they asked for."""
    table, held, verdicts = tables.generations, tables.held_items, tables.verdicts
    ids = list(connection.execute(select(table.c.id).where(table.c.user_name == user)).scalars())
    repeated = _repeated(connection, ids)
    files = _held_files(connection, held.c.user_name == user)
    hashes = screenings = 0
    if ids:
        state = tables.fingerprint_state  # taken first: an index that was loaded before now knows that it is old
        connection.execute(update(state).values(erasure=secrets.randbelow(2**63)))
    for batch in _batches(ids):
        hashes += _delete(connection, tables.fingerprints, tables.fingerprints.c.generation_id.in_(batch))
        _delete(connection, tables.sources, tables.sources.c.generation_id.in_(batch))
        screenings += _delete(connection, verdicts, verdicts.c.generation_id.in_(batch))
    screenings += _delete(connection, verdicts, verdicts.c.user_name == user)
    items = _delete(connection, held, held.c.user_name == user)
    connection.execute(update(held).where(held.c.reviewer == user).values(reviewer=None))
    for batch in _batches([*ids, *repeated]):
        asks_again = held.c.request["replay_of"].as_string().in_([str(GenerationId(value)) for value in batch])
        repeating = held.c.generation_id.in_(batch) | asks_again
        files += _held_files(connection, repeating)
        items += _delete(connection, held, repeating)
    _forget_requests(connection, repeated, at)
    mine = table.c.user_name == user
    connection.execute(update(table).where(mine, table.c.state == "held").values(state="refused"))
    connection.execute(update(table).where(mine).values(_FORGOTTEN | {"user_name": None, "erased_at": at}))
    videos, rows, owners = service_data.erase(connection, user)
    return Erasure(
        generations=tuple(GenerationId(value) for value in sorted(ids)),
        repeated=tuple(GenerationId(value) for value in repeated),
        held_items=items,
        screenings=screenings,
        fingerprints=hashes,
        files=tuple(files),
        videos=videos,
        service_rows=rows,
        owners=owners,
    )


_FORGOTTEN = {"request": None, "seed": None}


def _repeated(connection: Connection, ids: list[int]) -> list[int]:
    """The generations of others whose request repeats one of these: replays, sheets that show them, and theirs."""
    table, sources = tables.generations, tables.sources
    known, latest = set(ids), ids
    while latest:
        found: set[int] = set()
        for batch in _batches(latest):
            found.update(connection.execute(select(table.c.id).where(table.c.replay_of.in_(batch))).scalars())
            shown = select(sources.c.generation_id).where(
                sources.c.relationship == "componentOf", sources.c.own_id.in_(batch)
            )
            found.update(connection.execute(shown).scalars())
        latest = sorted(found - known)
        known.update(latest)
    return sorted(known.difference(ids))


def _forget_requests(connection: Connection, ids: list[int], at: datetime) -> None:
    """Empty what was asked for, what was stated and what was said of it, and leave whose generation it is."""
    table, sources, verdicts = tables.generations, tables.sources, tables.verdicts
    for batch in _batches(ids):
        _delete(connection, verdicts, verdicts.c.generation_id.in_(batch))
        theirs = sources.c.generation_id.in_(batch)
        _delete(connection, sources, theirs & sources.c.own_id.is_(None))
        connection.execute(update(sources).where(theirs).values(consent=None))
        these = table.c.id.in_(batch)
        connection.execute(update(table).where(these, table.c.state == "held").values(state="refused"))
        connection.execute(update(table).where(these).values(_FORGOTTEN | {"erased_at": at}))


def _held_files(connection: Connection, condition: Any) -> list[str]:
    """The files of held items in the data folder; those of the service's videos are among the blobs of the videos."""
    held = tables.held_items
    ours = held.c.file.is_not(None) & held.c.video_id.is_(None)
    return list(connection.execute(select(held.c.file).where(condition, ours)).scalars())


def _hashes(connection: Connection, ids: list[int]) -> dict[int, list[dict[str, Any]]]:
    table = tables.fingerprints
    found: dict[int, list[dict[str, Any]]] = {}
    for batch in _batches(ids):
        query = select(table).where(table.c.generation_id.in_(batch)).order_by(table.c.id)
        for row in connection.execute(query):
            known = {"seconds": row.seconds, "bits": row.bits.hex(), "quality": row.quality, "left_out": row.left_out}
            found.setdefault(row.generation_id, []).append(known)
    return found


def _refusals(connection: Connection, user: str, recorded: set[int]) -> list[dict[str, Any]]:
    """What the policy said of requests that became no generation."""
    table = tables.verdicts
    rows = connection.execute(select(table).where(table.c.user_name == user).order_by(table.c.id))
    return [_told(row, screening_of(row)) for row in rows if row.generation_id not in recorded]


def _told(row: Any, screening: Screening) -> dict[str, Any]:
    return {"id": str(GenerationId(row.generation_id)), "at": row.created_at.isoformat()} | vars(screening)


def _batches(ids: list[int]) -> Iterable[list[int]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))


def _delete(connection: Connection, table: Any, condition: Any) -> int:
    return connection.execute(delete(table).where(condition)).rowcount
