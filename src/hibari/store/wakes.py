"""Waiting for jobs without asking the queue again and again. What is due later, or was lost, is for who asks anyway.

On Postgres, whoever adds a job says so (NOTIFY) in the same transaction. On SQLite a look at the file's version tells
whether anybody has written: 15 microseconds, and no lock.
"""

import logging
import time
from threading import Event
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from hibari.store.database import Store

CHANNEL = "hibari_jobs"
_LOOK_S, _SLICE_S = 0.01, 0.25  # between two looks at a file, and at whether to stop
_LOG = logging.getLogger(__name__)


def ring(connection: Connection) -> None:
    """Wake the workers that wait, once the transaction of `connection` is kept."""
    if connection.dialect.name != "sqlite":  # where the writing itself is seen
        connection.execute(select(func.pg_notify(CHANNEL, "")))


class Wakes:
    """One waiter, for one thread. A database that is gone, or cannot notify, leaves it waiting out its time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._driver: Any = None  # a connection of our own, which the pool no longer knows
        self._version: int | None = None

    def wait(self, stop: Event, timeout_s: float) -> None:
        """Wait until a job may be there (on SQLite: until anything was written), `stop` is set, or time is over.

        What happens between two calls is not missed.
        """
        until = time.monotonic() + timeout_s
        engine = self._store.engine
        try:
            if engine.dialect.name == "sqlite":
                self._watch(stop, until)
            else:
                self._listen(stop, until)
        except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
            _LOG.warning("no waking: %s", error)
            self.close()
            stop.wait(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Give the connection back."""
        if self._driver is not None:
            self._driver.close()
            self._driver = self._version = None  # each connection counts for itself

    def _watch(self, stop: Event, until: float) -> None:
        if self._driver is None:
            self._driver = self._connected()
        while True:
            (version,) = self._driver.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                self._version = version
                return
            if time.monotonic() >= until or stop.wait(_LOOK_S):
                return

    def _listen(self, stop: Event, until: float) -> None:
        if self._driver is None:
            self._driver = self._connected()
            self._driver.autocommit = True
            self._driver.execute(f"LISTEN {CHANNEL}")
            return  # what was added before is there to be claimed
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            if any(True for _ in self._driver.notifies(timeout=min(left, _SLICE_S), stop_after=1)):
                return

    def _connected(self) -> Any:
        proxy = self._store.engine.raw_connection()
        driver = proxy.driver_connection
        proxy.detach()
        return driver
