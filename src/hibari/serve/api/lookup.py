"""One row by its id, out of SQLite and in the event loop: the read that polling clients do all day.

Through the pool and its transactions the same read costs six times as much. Never used for Postgres, whose answers
come over a network and would hold up the loop.
"""

import json
from collections import namedtuple
from datetime import UTC, datetime
from typing import Any

from hibari.store import Store, tables
from hibari.store.queue_rows import Job, job_of

_COLUMNS = [column.name for column in tables.videos.c]
_QUERY = f"SELECT {', '.join(_COLUMNS)} FROM videos WHERE id = ?"  # our own names alone
_Row = namedtuple("_Row", _COLUMNS)  # type: ignore[misc]  # the columns are known when it runs
_MOMENTS = {index for index, column in enumerate(tables.videos.c) if isinstance(column.type, tables.Moment)}
_DOCUMENTS = {index for index, column in enumerate(tables.videos.c) if column.name in ("request", "files")}


class Lookup:
    """A connection of its own to a store's SQLite file, outside any transaction; for one thread."""

    def __init__(self, store: Store) -> None:
        assert store.engine.dialect.name == "sqlite"
        self._pooled = store.engine.raw_connection()
        driver = self._pooled.driver_connection
        assert driver is not None
        self._driver = driver

    def video(self, id: str) -> Job | None:
        """The job of an id, as it is now."""
        values = self._driver.execute(_QUERY, (id,)).fetchone()
        return job_of(_row(values)) if values is not None else None

    def close(self) -> None:
        """Give the connection back."""
        self._pooled.close()


def _row(values: tuple[Any, ...]) -> Any:
    return _Row(*(_value(index, value) for index, value in enumerate(values)))


def _value(index: int, value: Any) -> Any:
    if value is None:
        return None
    if index in _MOMENTS:  # kept in UTC, without saying so
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return json.loads(value) if index in _DOCUMENTS else value
