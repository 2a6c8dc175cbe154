"""API keys: made at random, shown once, kept by their digest alone; and the way from a key to its actor."""

import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock, Thread
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, insert, or_, select, update

from hibari.access.actors import Actor, user_of
from hibari.access.rules import ACTIONS
from hibari.errors import InvalidRequest, StoreError
from hibari.store import Store, tables

PREFIX = "hk-"
CACHED = timedelta(seconds=5)
USE_NOTED_EVERY = timedelta(minutes=1)
MAX_CACHED = 1024
_LOG = logging.getLogger(__name__)
Reading: TypeAlias = Callable[[], AbstractContextManager[Connection]]
_SHOWN = 4  # characters of a key's end, so that a person knows which is which


@dataclass(frozen=True, kw_only=True)
class KeyRecord:
    """What is kept of a key. `scopes` None: whatever its user may."""

    id: str
    user: str
    hint: str
    scopes: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether the key opens anything at that moment."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        moments = {
            name: value.isoformat() if value is not None else None
            for name, value in vars(self).items()
            if name.endswith("_at")
        }
        return vars(self) | moments | {"scopes": sorted(self.scopes) if self.scopes is not None else None}


def _now() -> datetime:
    return datetime.now(UTC)


class Keys:
    """The keys of a store. Safe to use from several threads; `clock` answers moments in UTC.

    `reading` is where keys are looked up, for who does that in one thread that must not wait for the store's pool.

    Who a key belongs to is remembered for 5 seconds at most: a key that another process revoked may work that long.
    When a key was last used is written by a thread of its own, which nobody waits for but `close`.
    """

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = _now, reading: Reading | None = None) -> None:
        self._store = store
        self._reading = store.reading if reading is None else reading
        self._clock = clock
        self._seen: OrderedDict[str, tuple[datetime, datetime | None, Actor]] = OrderedDict()
        self._noted: OrderedDict[str, datetime] = OrderedDict()
        self._unwritten: dict[str, datetime] = {}
        self._writer: Thread | None = None
        self._lock = Lock()

    def create(
        self, user: str, *, scopes: Iterable[str] | None = None, expires_at: datetime | None = None
    ) -> tuple[str, KeyRecord]:
        """Make a key of a user: itself, which nobody can show again, and what is kept; raises InvalidRequest."""
        now = self._clock()
        token = PREFIX + secrets.token_urlsafe(32)
        values = {
            "id": f"key_{secrets.token_hex(12)}",
            "user_name": user,
            "sha256": _digest(token),
            "hint": token[-_SHOWN:],
            "scopes": check_scopes(scopes),
            "created_at": now,
            "expires_at": expires_at,
        }
        if expires_at is not None and expires_at <= now:
            raise InvalidRequest("The key would have expired already.", option="expires_days", hint="Give 1 or more.")
        users, keys = tables.users, tables.api_keys
        with self._store.writing() as connection:
            if connection.execute(select(users.c.name).where(users.c.name == user)).first() is None:
                raise InvalidRequest(f"{user!r} is no user here.", hint="`hibari users list` shows them.")
            row = connection.execute(insert(keys).values(values).returning(keys)).one()
        return token, _key_of(row)

    def authenticate(self, token: str) -> Actor | None:
        """Whose key this is; None where it is unknown, expired or revoked, or its user disabled; raises StoreError.

        Each call digests the whole token and asks by the digest, so that its time tells nothing about any key.
        """
        digest, now = _digest(token), self._clock()
        with self._lock:
            if (found := self._remembered(digest, now)) is not None:
                return found
        keys, users = tables.api_keys, tables.users
        with self._reading() as connection:
            key_row = connection.execute(select(keys).where(keys.c.sha256 == digest)).first()
            if key_row is None:
                self._unlearn(digest)
                return None
            user = user_of(connection.execute(select(users).where(users.c.name == key_row.user_name)).one())
        key = _key_of(key_row)
        if not key.holds(now) or user.disabled:
            self._unlearn(digest)
            return None
        actor = Actor(user=user.name, role=user.role, key_id=key.id, scopes=key.scopes, limits=user.limits)
        if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY:
            self._note_use(key.id, now)
        with self._lock:
            self._seen[digest] = (now, key.expires_at, actor)
            self._seen.move_to_end(digest)
            while len(self._seen) > MAX_CACHED:
                self._seen.popitem(last=False)
        return actor

    def knows(self, token: str) -> bool:
        """Whether this was a key when it was looked up last, however long ago: no more than a reason to look again."""
        with self._lock:
            return _digest(token) in self._seen

    def revoke(self, id: str) -> KeyRecord:
        """Make a key useless for good; the first moment stands. Raises InvalidRequest, StoreError."""
        table = tables.api_keys
        with self._store.writing() as connection:
            unrevoked = update(table).where(table.c.id == id, table.c.revoked_at.is_(None))
            connection.execute(unrevoked.values(revoked_at=self._clock()))
            row = connection.execute(select(table).where(table.c.id == id)).first()
        self.forget()
        if row is None:
            raise InvalidRequest(f"{id!r} is no key here.", option="id", hint="`hibari keys list` shows them.")
        return _key_of(row)

    def list(self, user: str | None = None) -> list[KeyRecord]:
        """The keys of a user, or of all, oldest first; raises StoreError."""
        table = tables.api_keys
        query = select(table).order_by(table.c.created_at, table.c.id)
        if user is not None:
            query = query.where(table.c.user_name == user)
        with self._store.reading() as connection:
            return [_key_of(row) for row in connection.execute(query)]

    def forget(self) -> None:
        """Remember nobody: what was changed in this process holds at once."""
        with self._lock:
            self._seen.clear()

    def close(self) -> None:
        """Wait until what is known of uses is written."""
        with self._lock:
            writer = self._writer
        if writer is not None:
            writer.join()

    def _remembered(self, digest: str, now: datetime) -> Actor | None:
        if digest not in self._seen:
            return None
        seen_at, expires_at, actor = self._seen[digest]
        # A clock that was set back must not make the memory longer.
        if not timedelta(0) <= now - seen_at < CACHED or (expires_at is not None and now >= expires_at):
            return None
        self._seen.move_to_end(digest)
        return actor

    def _unlearn(self, digest: str) -> None:
        with self._lock:
            self._seen.pop(digest, None)

    def _note_use(self, id: str, now: datetime) -> None:
        """Have it written that a key was used; at most once a minute for each, also where that cannot be written."""
        with self._lock:
            if (noted := self._noted.get(id)) is not None and timedelta(0) <= now - noted < USE_NOTED_EVERY:
                return
            self._noted[id] = self._unwritten[id] = now
            self._noted.move_to_end(id)
            while len(self._noted) > MAX_CACHED:
                self._noted.popitem(last=False)
            if self._writer is None:
                self._writer = Thread(target=self._write_uses, name="uses of keys", daemon=True)
                self._writer.start()

    def _write_uses(self) -> None:
        while True:
            with self._lock:
                uses, self._unwritten = self._unwritten, {}
                if not uses:
                    self._writer = None
                    return
            try:
                self._write(uses)
            except StoreError as error:  # a time that is missing keeps nobody out
                _LOG.warning("when %d keys were last used is not written: %s", len(uses), error)

    def _write(self, uses: dict[str, datetime]) -> None:
        table = tables.api_keys
        with self._store.writing() as connection:
            for id, at in sorted(uses.items()):  # in one order, so that two processes never wait for each other
                stale = or_(table.c.last_used_at.is_(None), table.c.last_used_at <= at - USE_NOTED_EVERY)
                connection.execute(update(table).where(table.c.id == id, stale).values(last_used_at=at))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def check_scopes(scopes: Iterable[str] | None) -> list[str] | None:
    """The scopes, each once and sorted; raises InvalidRequest for one that is no action."""
    if scopes is None:
        return None
    named = sorted(set(scopes))
    for scope in named:
        if scope not in ACTIONS:
            raise InvalidRequest(f"{scope!r} is not a scope.", option="scope", hint=f"Allowed: {', '.join(ACTIONS)}.")
    return named


def _key_of(row: Row[Any]) -> KeyRecord:
    values = row._asdict()
    scopes = values.pop("scopes")
    del values["sha256"]
    return KeyRecord(user=values.pop("user_name"), scopes=None if scopes is None else frozenset(scopes), **values)
