"""The audit log: what was denied, made, deleted, changed and decided, in a chain that shows every tampering.

Written in the transaction of the thing itself where a row of the database is that thing, and before it elsewhere, so
that nothing is done unrecorded and nothing recorded that was not done. Reads that were allowed are not in it, nor
is anything that a person asked for. The chain alone cannot show that its newest rows were cut off, or that all of it
was written anew: note its head elsewhere, and have `verify` look for it.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from hibari.access.actors import Actor
from hibari.access.rules import Action, Decision, Resource
from hibari.errors import InvalidRequest
from hibari.store import Store, tables
from hibari.store.pseudonyms import pseudonym, without_name

FIRST = "0" * 64  # what the first row continues
MAX_LISTED = 1000
_LOCK = 0x61756469  # Postgres' advisory lock of whoever appends
_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One row of the log; `digest` covers it and, through `previous`, every row before it."""

    sequence: int
    at: datetime
    actor: str
    action: str
    resource: str
    allowed: bool
    reason: str
    previous: str
    digest: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain values, for JSON."""
        return vars(self) | {"at": self.at.isoformat()}

    def due_digest(self) -> str:
        """The digest that this entry must have: over pseudonyms, which stay when a name is erased."""
        covered = self.as_dict() | {"actor": pseudonym(self.actor), "resource": without_name(self.resource)}
        del covered["digest"]
        text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """What a look at the whole chain found.

    `broken` is the first sequence that does not follow from the rows before it, `head` the newest row's digest, and
    `known_missing` says that a digest which was noted earlier is not in the chain.
    """

    count: int
    broken: int | None
    head: str
    known_missing: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing was found wrong."""
        return self.broken is None and not self.known_missing


class Audit:
    """The audit log of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, actor: Actor, action: Action, resource: Resource, decision: Decision) -> AuditEntry:
        """Append one row, in a transaction of its own; raises StoreError."""
        with self._store.writing() as connection:
            return append(connection, actor, action, resource, decision)

    def verify(self, known: str | None = None) -> AuditFinding:
        """Walk the chain, from its first row to its newest; `known` is a head that was noted earlier."""
        count, previous, seen = 0, FIRST, known in (None, FIRST)
        broken: int | None = None
        with self._store.reading() as connection:
            for count, entry in enumerate(_entries(connection), 1):
                follows = entry.sequence == count and entry.previous == previous
                # What comes after a broken row is counted and not judged.
                if broken is None and not (follows and entry.digest == entry.due_digest()):
                    broken = entry.sequence
                previous = entry.digest
                seen = seen or entry.digest == known
        return AuditFinding(count=count, broken=broken, head=previous, known_missing=not seen)

    def list(self, *, actor: str | None = None, limit: int = 50, before: int | None = None) -> list[AuditEntry]:
        """The newest rows first; `before` is the sequence that the page before ended with. Raises InvalidRequest."""
        if not 1 <= limit <= MAX_LISTED:
            raise InvalidRequest(f"{limit} is not allowed.", option="limit", hint=f"Give 1 to {MAX_LISTED}.")
        table = tables.audit
        query = select(table).order_by(table.c.sequence.desc()).limit(limit)
        if actor is not None:
            query = query.where(table.c.actor == actor)
        if before is not None:
            query = query.where(table.c.sequence < before)
        with self._store.reading() as connection:
            return [AuditEntry(**row._asdict()) for row in connection.execute(query)]


def _entries(connection: Connection) -> Iterator[AuditEntry]:
    """Every row, the oldest first, read a page at a time."""
    table = tables.audit
    page = select(table).order_by(table.c.sequence).limit(_BATCH)
    rows = connection.execute(page).all()
    while rows:
        yield from (AuditEntry(**row._asdict()) for row in rows)
        rows = connection.execute(page.where(table.c.sequence > rows[-1].sequence)).all()


def append(connection: Connection, actor: Actor, action: Action, resource: Resource, decision: Decision) -> AuditEntry:
    """Append one row within a transaction that writes other things too."""
    newest = _newest(connection)
    entry = AuditEntry(
        sequence=newest.sequence + 1 if newest is not None else 1,
        at=datetime.now(UTC),
        actor=actor.user,
        action=action,
        resource=str(resource),
        allowed=decision.allowed,
        reason=decision.reason,
        previous=newest.digest if newest is not None else FIRST,
    )
    entry = replace(entry, digest=entry.due_digest())
    connection.execute(insert(tables.audit).values(vars(entry)))
    return entry


def _newest(connection: Connection) -> Row[Any] | None:
    """The row to continue; nobody else appends until this transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    return connection.execute(select(tables.audit).order_by(tables.audit.c.sequence.desc()).limit(1)).first()
