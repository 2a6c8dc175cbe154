"""The ledger: every generation is written into it once, whole or not at all, and found in it by id.

It remembers; it neither marks nor signs. Erasing a user's data leaves of an entry what verifying a mark needs.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, exists, or_, select

from hibari.errors import InvalidRequest
from hibari.provenance.fingerprint.frames import FrameHash
from hibari.provenance.fingerprint.rows import write_hashes
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import person
from hibari.provenance.ledger.entry import Entry, Screening, State
from hibari.provenance.ledger.reviews import HeldItem, Ruling, write_item, write_ruling
from hibari.provenance.ledger.rows import read_entries, write_entry, write_screenings
from hibari.store import Store, StoreError, tables

MAX_LISTED = 1000
COMPONENT = "componentOf"  # of a source: it is shown by what is put together from it


def _nothing() -> None:
    """What there is to do last where no file is waiting for its name."""


class Ledger:
    """The entries of a store. `index_file` is where the fingerprint index is saved: an erasure removes it."""

    def __init__(self, store: Store, index_file: Path | None = None) -> None:
        self._store = store
        self._index_file = index_file

    def record(
        self,
        entry: Entry,
        hashes: Sequence[FrameHash] = (),
        held: HeldItem | None = None,
        ruling: Ruling | None = None,
        last: Callable[[], None] = _nothing,
    ) -> None:
        """Write an entry, its frame hashes, and its place in the review queue where it has one: all or nothing.

        `ruling` is the reviewer's word on the request that waited under this id, and is written with it. `last` is done
        before all of this is kept: where it raises, nothing is. Raises StoreError: also for an id that is recorded
        already, and for a replay of what is not; InvalidRequest where the request was decided already.
        """
        assert entry.erased_at is None, "an entry is erased after it was recorded"
        assert (entry.state == "held") == (held is not None), "what is held has a place in the queue"
        assert held is None or held.id == entry.id, (held, entry.id)
        with self._store.writing() as connection:
            if _exists(connection, entry.id):
                raise StoreError(f"{entry.id} is recorded already.")
            if entry.replay_of is not None and not _exists(connection, entry.replay_of):
                raise StoreError(f"{entry.replay_of}, which {entry.id} replays, is not recorded.")
            if ruling is not None:
                write_ruling(connection, entry.id, ruling)
            write_entry(connection, entry)
            write_hashes(connection, entry.id, hashes)
            if held is not None:
                write_item(connection, held)
            last()

    def record_refusal(
        self,
        reserved: GenerationId,
        user: str,
        at: datetime,
        screenings: Sequence[Screening],
        ruling: Ruling | None = None,
    ) -> None:
        """Write what the safety policy said of a request that became no file, under the id reserved for it.

        `ruling` is the word of the reviewer who had let the request through, before its frames were refused.
        """
        with self._store.writing() as connection:
            if ruling is not None:
                write_ruling(connection, reserved, ruling)
            write_screenings(connection, reserved, user, at, screenings)

    def find(self, generation: GenerationId) -> Entry | None:
        """The entry of that id; raises StoreError."""
        table = tables.generations
        with self._store.reading() as connection:
            entries = read_entries(connection, connection.execute(select(table).where(table.c.id == generation.value)))
        return entries[0] if entries else None

    def find_file(self, sha256: str) -> Entry | None:
        """The entry whose delivered file has that digest, byte for byte; raises StoreError."""
        table = tables.generations
        query = select(table).where(table.c.file_sha256 == sha256).order_by(table.c.created_at).limit(1)
        with self._store.reading() as connection:
            entries = read_entries(connection, connection.execute(query))
        return entries[0] if entries else None

    def issued_ids(self) -> np.ndarray:
        """Every id that was recorded, sorted, uint64: erased ones too, since their marks are still out there."""
        column = tables.generations.c.id
        with self._store.reading() as connection:
            ids = connection.execute(select(column).order_by(column)).scalars()
            return np.fromiter(ids, np.uint64)

    def list(
        self,
        *,
        user: str | None = None,
        state: State | None = None,
        limit: int = 50,
        before: GenerationId | None = None,
        composed: bool = True,
    ) -> list[Entry]:
        """The newest entries first; `before` is the last one of the page before. Raises InvalidRequest, StoreError.

        Without `composed`, those are left out that only show others: thumbnails and sheets.
        """
        if not 1 <= limit <= MAX_LISTED:
            raise InvalidRequest(f"{limit} is not allowed.", option="limit", hint=f"Give 1 to {MAX_LISTED}.")
        table = tables.generations
        query = select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
        if user is not None:
            query = query.where(table.c.user_name == user)
        if state is not None:
            query = query.where(table.c.state == state)
        if not composed:
            shown = tables.sources.c.generation_id == table.c.id
            query = query.where(~exists().where(shown, tables.sources.c.relationship == COMPONENT))
        with self._store.reading() as connection:
            if before is not None:
                at = connection.execute(select(table.c.created_at).where(table.c.id == before.value)).scalar()
                if at is None:
                    raise InvalidRequest(f"{before} is not recorded.", option="before")
                earlier = and_(table.c.created_at == at, table.c.id < before.value)
                query = query.where(or_(table.c.created_at < at, earlier))
            return read_entries(connection, connection.execute(query))

    def replays_of(self, generation: GenerationId) -> tuple[GenerationId, ...]:
        """The ids of the generations that replayed this one, oldest first; raises StoreError."""
        table = tables.generations
        query = select(table.c.id).where(table.c.replay_of == generation.value).order_by(table.c.created_at, table.c.id)
        with self._store.reading() as connection:
            return tuple(GenerationId(value) for value in connection.execute(query).scalars())

    def components_of(self, generations: Iterable[GenerationId]) -> dict[GenerationId, set[GenerationId]]:
        """The generations that each of these shows, where it is put together from any; raises StoreError."""
        table, found = tables.sources, defaultdict[GenerationId, set[GenerationId]](set)
        ids = [generation.value for generation in generations]
        query = select(table.c.generation_id, table.c.own_id).where(
            table.c.generation_id.in_(ids), table.c.relationship == COMPONENT, table.c.own_id.is_not(None)
        )
        with self._store.reading() as connection:
            for whole, part in connection.execute(query):
                found[GenerationId(whole)].add(GenerationId(part))
        return found

    def export(self, user: str) -> dict[str, Any]:
        """All that is kept of a user, as one JSON document's plain values; raises StoreError."""
        with self._store.reading() as connection:
            return person.export(connection, user, datetime.now(UTC))

    def erase(self, user: str) -> person.Erasure:
        """Erase a user's data, all or nothing, and overwrite it on the disk; raises StoreError.

        Of each generation its id, created_at, model, revision, digests, sizes, watermark key and manifest stay.
        """
        if self._index_file is not None:
            self._index_file.unlink(missing_ok=True)  # it holds hashes, and is made anew from the table
        with self._store.writing() as connection:
            done = person.erase(connection, user, datetime.now(UTC))
        return done.scrubbed_if(self._store.scrub())


def _exists(connection: Connection, generation: GenerationId) -> bool:
    column = tables.generations.c.id
    return connection.execute(select(column).where(column == generation.value)).first() is not None
