"""Reads of a row or two out of SQLite, in the event loop: what polling clients ask all day, and whose key that is.

On a connection of its own, since those of the pool may all be held by threads that wait to write, and the loop must not
wait for them. Through the pool and its transactions the read of a video costs six times as much. Never used for
Postgres, whose answers come over a network and would hold up the loop.
"""

import json
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from hibari.store import Store, tables
from hibari.store.faults import translated
from hibari.store.queue_rows import Job, job_of

_COLUMNS = [column.name for column in tables.videos.c]
_QUERY = f"SELECT {', '.join(_COLUMNS)} FROM videos WHERE id = ?"  # our own names alone
_LONGEST_MS = 100  # that the loop stands still for a lock; who only reads seldom meets one
_Row = namedtuple("_Row", _COLUMNS)  # type: ignore[misc]  # the columns are known when it runs
_MOMENTS = {index for index, column in enumerate(tables.videos.c) if isinstance(column.type, tables.Moment)}
_DOCUMENTS = {index for index, column in enumerate(tables.videos.c) if column.name in ("request", "files")}


class Lookup:
    """A connection of its own to a store's SQLite file, outside any transaction; for one thread."""

    def __init__(self, store: Store) -> None:
        assert store.engine.dialect.name == "sqlite"
        self._store = store
        self._connection = store.engine.connect()
        driver = self._connection.connection.driver_connection
        assert driver is not None
        self._driver = driver
        self._connection.detach()  # the pool makes another in its place
        driver.execute(f"PRAGMA busy_timeout = {_LONGEST_MS}")

    def video(self, id: str) -> Job | None:
        """The job of an id, as it is now; raises StoreError."""
        with translated(self._store.name):
            values = self._driver.execute(_QUERY, (id,)).fetchone()
        return job_of(_row(values)) if values is not None else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """This connection, as it sees one state of the database; raises StoreError."""
        with self._store.reading(self._connection) as connection:
            yield connection

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _row(values: tuple[Any, ...]) -> Any:
    return _Row(*(_value(index, value) for index, value in enumerate(values)))


def _value(index: int, value: Any) -> Any:
    if value is None:
        return None
    if index in _MOMENTS:  # kept in UTC, without saying so
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return json.loads(value) if index in _DOCUMENTS else value
