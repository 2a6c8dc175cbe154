"""A person's rights: everything that is kept of them in one document, and its erasure."""

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, delete, select, update

from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger.entry import Screening
from hibari.provenance.ledger.reviews import item_of
from hibari.provenance.ledger.rows import read_entries, screening_of
from hibari.store import tables

_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What was erased. `files` are those of held items, which the caller removes (`HeldFiles.remove`) once this stands.

    `scrubbed` says that no readable trace is left in the database's files (SQLite; elsewhere the server's own time).
    """

    generations: tuple[GenerationId, ...]
    held_items: int
    screenings: int
    fingerprints: int
    files: tuple[str, ...]
    scrubbed: bool = False

    def scrubbed_if(self, scrubbed: bool) -> Self:
        """The same, with the word of the store on its files."""
        return replace(self, scrubbed=scrubbed)

    def as_dict(self) -> dict[str, Any]:
        """What was erased as plain values, for JSON."""
        return vars(self) | {"generations": [str(each) for each in self.generations]}


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
    }


def erase(connection: Connection, user: str, at: datetime) -> Erasure:
    """Empty, in this transaction, whatever names the user or what they asked for."""
    table, held, verdicts = tables.generations, tables.held_items, tables.verdicts
    ids = list(connection.execute(select(table.c.id).where(table.c.user_name == user)).scalars())
    files = connection.execute(select(held.c.file).where(held.c.user_name == user, held.c.file.is_not(None))).scalars()
    gone_files = tuple(files)
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
    emptied = {"user_name": None, "request": None, "seed": None, "erased_at": at}
    mine = table.c.user_name == user
    connection.execute(update(table).where(mine, table.c.state == "held").values(state="refused"))
    connection.execute(update(table).where(mine).values(emptied))
    return Erasure(
        generations=tuple(GenerationId(value) for value in sorted(ids)),
        held_items=items,
        screenings=screenings,
        fingerprints=hashes,
        files=gone_files,
    )


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
