"""Waiting for jobs without asking the queue again and again. What is due later, or was lost, is for who asks anyway.

On Postgres, whoever adds a job says so (NOTIFY) in the same transaction. On SQLite a look at the file's version tells
whether anybody has written: 15 microseconds, and no lock.
"""

import logging
import time
from threading import Event

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
        self._connection: Connection | None = None
        self._version: int | None = None

    def wait(self, stop: Event, timeout_s: float) -> None:
        """Wait until a job may be there (on SQLite: until anything was written), `stop` is set, or time is over.

        What happens between two calls is not missed.
        """
        until = time.monotonic() + timeout_s
        loaded = self._store.engine.dialect.loaded_dbapi
        try:
            if self._store.engine.dialect.name == "sqlite":
                self._watch(stop, until)
            else:
                self._listen(stop, until)
        except (DBAPIError, loaded.Error) as error:
            _LOG.warning("no waking: %s", error)
            self.close()
            stop.wait(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _watch(self, stop: Event, until: float) -> None:
        if self._connection is None:
            self._connection = self._store.engine.connect()
        driver = self._connection.connection.driver_connection
        assert driver is not None
        while True:
            (version,) = driver.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                self._version = version
                return
            if time.monotonic() >= until or stop.wait(_LOOK_S):
                return

    def _listen(self, stop: Event, until: float) -> None:
        if self._connection is None:
            connection = self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()  # no one else is to have a connection that listens
            self._connection = connection
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            return  # what was added before is there to be claimed
        driver = self._connection.connection.driver_connection
        assert driver is not None
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            if any(driver.notifies(timeout=min(left, _SLICE_S), stop_after=1)):
                return
