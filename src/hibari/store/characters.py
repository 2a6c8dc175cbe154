"""Characters: reference clips that a prompt may be given, kept with what was stated about who is shown. Rows alone.

Whose they are is kept here, and what their owner may do with them is not asked here. Clips are `blobs`'.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select

from hibari.errors import InvalidRequest
from hibari.store import idempotency, tables
from hibari.store.database import Clock, Store, database_clock
from hibari.store.queue import Note, lock_adding

MOST = 100  # of one user
CHARACTER_ID = re.compile(r"char_[0-9a-f]{24}")
table = tables.characters


def new_character_id() -> str:
    """A new character's id: char_ and 24 hex digits, which nobody guesses."""
    return f"char_{secrets.token_hex(12)}"


@dataclass(frozen=True, kw_only=True)
class NewCharacter:
    """A character to be kept. `file` is the blob of its clip, `consent` what was stated about who is shown."""

    user: str
    name: str
    file: str
    consent: dict[str, Any]
    id: str = field(default_factory=new_character_id)


@dataclass(frozen=True, kw_only=True)
class Character(NewCharacter):
    """A character as it is kept."""

    created_at: datetime


class Characters:
    """The characters of a store. Every method raises StoreError where the database cannot."""

    def __init__(self, store: Store, *, clock: Clock = database_clock) -> None:
        self._store = store
        self._clock = clock

    def add(
        self, new: NewCharacter, *, key: idempotency.RequestKey | None = None, note: Note | None = None
    ) -> Character:
        """Keep a character, and `note` it; with a `key` that made one before, give that one. Raises InvalidRequest."""
        row = vars(new) | {"user_name": new.user}
        del row["user"]
        with self._store.writing() as connection:
            lock_adding(connection)
            if key is not None and (first := _made_before(connection, new.user, key)) is not None:
                return first
            count = select(func.count()).select_from(table).where(table.c.user_name == new.user)
            if connection.execute(count).scalar_one() >= MOST:
                raise InvalidRequest(f"There are {MOST} characters already.", hint="Delete one first.")
            now = self._clock(connection)
            made = connection.execute(insert(table).values(row | {"created_at": now}).returning(table)).one()
            if key is not None:
                idempotency.remember(connection, new.user, key, new.id, now)
            if note is not None:
                note(connection, new.id)
            return _character(made)

    def made_before(self, user: str, key: idempotency.RequestKey) -> Character | None:
        """The character that this key made, if it is still there; raises InvalidRequest for another request."""
        with self._store.reading() as connection:
            return _made_before(connection, user, key)

    def find(self, id: str) -> Character | None:
        """The character of an id, whoever's it is."""
        with self._store.reading() as connection:
            return _find(connection, id)

    def owned(self, user: str, ids: Sequence[str]) -> list[Character]:
        """A user's characters of these ids, in their order; those that are not theirs are left out."""
        mine = select(table).where(table.c.user_name == user, table.c.id.in_(ids))
        with self._store.reading() as connection:
            found = {row.id: _character(row) for row in connection.execute(mine)}
        return [found[id] for id in ids if id in found]

    def list(
        self, user: str, *, limit: int, after: str | None, order: Literal["asc", "desc"]
    ) -> tuple[list[Character], bool]:
        """At most `limit` characters of a user past the one of id `after`, and whether there are more.

        Raises InvalidRequest where the user has no character of that id.
        """
        at, id, forward = table.c.created_at, table.c.id, order == "asc"
        query = select(table).where(table.c.user_name == user).limit(limit + 1)
        with self._store.reading() as connection:
            if after is not None:
                last = _find(connection, after)
                if last is None or last.user != user:
                    hint = "Give last_id of the page before."
                    raise InvalidRequest("No character of yours has this id.", option="after", hint=hint)
                later = at > last.created_at if forward else at < last.created_at
                beside = id > last.id if forward else id < last.id
                query = query.where(or_(later, and_(at == last.created_at, beside)))
            query = query.order_by(at.asc(), id.asc()) if forward else query.order_by(at.desc(), id.desc())
            found = [_character(row) for row in connection.execute(query)]
        return found[:limit], len(found) > limit

    def remove(self, id: str, note: Note | None = None) -> Character | None:
        """Delete a character, and `note` it; what it was, so that its clip can go, or None where there is none."""
        with self._store.writing() as connection:
            idempotency.forget(connection, id)
            row = connection.execute(delete(table).where(table.c.id == id).returning(table)).one_or_none()
            if row is None:
                return None
            if note is not None:
                note(connection, id)
            return _character(row)


def _find(connection: Connection, id: str) -> Character | None:
    row = connection.execute(select(table).where(table.c.id == id)).one_or_none()
    return _character(row) if row is not None else None


def _made_before(connection: Connection, user: str, key: idempotency.RequestKey) -> Character | None:
    id = idempotency.made_before(connection, user, key)
    return _find(connection, id) if id is not None else None


def _character(row: Row[Any]) -> Character:
    return Character(
        id=row.id, user=row.user_name, name=row.name, created_at=row.created_at, file=row.file, consent=row.consent
    )
