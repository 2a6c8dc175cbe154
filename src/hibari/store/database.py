"""Opening the database, and the two ways in: `reading`, a snapshot, and `writing`, one transaction or nothing."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hibari.errors import InvalidRequest, MissingDependency, OutputError, StoreError, install
from hibari.store import schema
from hibari.store.faults import translated

_BEGIN = "hibari_begin"
_STATEMENT_S = 60.0  # of Postgres at most; schema.migrate alone may take longer
_SQLITE_WAYS = {"reading": {_BEGIN: "BEGIN"}, "writing": {_BEGIN: "BEGIN IMMEDIATE"}}
_POSTGRES_WAYS: dict[str, dict[str, Any]] = {
    "reading": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    "writing": {},
}
Clock = Callable[[Connection], datetime]


def database_clock(connection: Connection) -> datetime:
    """The moment: on Postgres the server's, since workers' clocks differ; on SQLite this machine's, the only one."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.execute(select(func.now())).scalar_one()
    return now.astimezone(UTC)


class Store:
    """An open database, safe to use from several threads."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self._ways = _SQLITE_WAYS if engine.dialect.name == "sqlite" else _POSTGRES_WAYS

    @classmethod
    def open(cls, url: str | Path, *, migrate: bool = True, timeout_s: float = 10.0) -> Self:
        """Open a file (a path, or sqlite:///PATH) or a Postgres database (postgresql://...), made ready for this code.

        `migrate=False` refuses where tables are missing or old. A lock is waited for at most `timeout_s`.
        Raises InvalidRequest for a URL of neither kind, StoreError for everything else that stands in the way.
        """
        address = _address(url)
        name = address.database or "" if address.drivername == "sqlite" else address.render_as_string()
        if not migrate and address.drivername == "sqlite" and not Path(name).exists():
            raise StoreError(f"{name}: no such database.", hint="The first generation makes it.")
        store = cls(_engine(address, timeout_s), name)
        try:
            store._make_ready(migrate)
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def reading(self, own: Connection | None = None) -> Iterator[Connection]:
        """A connection that sees one state of the database; raises StoreError.

        `own` is one that its caller keeps, and so waits for nobody who holds one of the pool's.
        """
        with self._transaction("reading", own) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose work is kept when the block ends well, and gone when it raises; raises StoreError."""
        with self._transaction("writing") as connection:
            yield connection

    def scrub(self) -> bool:
        """Bring deletions to the disk: whether no readable trace of them is left in SQLite's files.

        False while another process is still reading an older state, and always on Postgres, where VACUUM and the
        rotation of its log do this in their own time.
        """
        if self.engine.dialect.name != "sqlite":
            return False
        with translated(self.name), self.engine.connect() as connection:
            driver = connection.connection.driver_connection  # a checkpoint runs outside any transaction
            assert driver is not None
            (blocked, _, _) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not blocked

    def copy_to(self, path: Path) -> None:
        """Write a whole copy of a SQLite database as of one moment, while others go on; raises StoreError."""
        assert self.engine.dialect.name == "sqlite", "Postgres has tools of its own"
        _make_private(path)
        with translated(self.name), self.engine.connect() as connection:
            driver = connection.connection.driver_connection  # it runs outside any transaction
            assert driver is not None
            driver.execute("VACUUM INTO ?", (str(path),))

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, way: str, own: Connection | None = None) -> Iterator[Connection]:
        with translated(self.name), self.engine.connect() if own is None else nullcontext(own) as connection:
            connection.execution_options(**self._ways[way])
            with connection.begin():
                yield connection

    def _make_ready(self, migrate: bool) -> None:
        with self.reading() as connection:
            ready = schema.is_current(connection, self.name)
        if not ready and not migrate:
            hint = "`hibari ledger list` brings them up to date."
            raise StoreError(f"{self.name}: its tables are missing or old.", hint=hint)
        if not ready:
            with self.writing() as connection:
                schema.migrate(connection, self.name)


def sqlite_file(url: str | Path) -> Path | None:
    """The file of a SQLite database; None where it is Postgres. Raises InvalidRequest for a URL of neither kind."""
    address = _address(url)
    return Path(address.database or "") if address.drivername == "sqlite" else None


def _address(url: str | Path) -> URL:
    """The database that is meant; raises InvalidRequest."""
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url.expanduser().absolute()))
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise _wrong(url) from error
    if address.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        if find_spec("psycopg") is None:
            raise MissingDependency("Postgres needs psycopg.", option="database", hint=install("postgres"))
        return address.set(drivername="postgresql+psycopg")
    if address.drivername != "sqlite" or address.database in (None, "", ":memory:") or address.query:
        raise _wrong(url)
    return address.set(database=str(Path(address.database or "").expanduser().absolute()))


def _wrong(url: str) -> InvalidRequest:
    kind = url.partition(":")[0][:20]  # the rest may hold a password
    return InvalidRequest(
        f"{kind!r} names no database that Hibari keeps.",
        option="database",
        hint="Give a file, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME.",
    )


def _engine(address: URL, timeout_s: float) -> Engine:
    if address.drivername == "sqlite":
        assert address.database is not None
        _make_private(Path(address.database))
        # No isolation level: the driver would open transactions late, and none around tables being made.
        engine = create_engine(address, connect_args={"timeout": timeout_s, "isolation_level": None})
        event.listen(engine, "connect", lambda driver, _: _configure_sqlite(driver, timeout_s))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    milliseconds, seconds = max(1, round(timeout_s * 1000)), max(2, round(timeout_s))
    # A server, or a network, that says nothing any more is an error after as long.
    silence = {
        "connect_timeout": seconds,
        "tcp_user_timeout": 1000 * seconds,
        "keepalives_idle": seconds,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    engine = create_engine(address, pool_pre_ping=True, connect_args=silence | {"autocommit": False})
    longest = max(milliseconds, round(1000 * _STATEMENT_S))

    def configure(driver: Any, _: object) -> None:  # not as options of the connection, which poolers refuse
        driver.execute(f"SET lock_timeout = {milliseconds}")
        driver.execute(f"SET statement_timeout = {longest}")
        driver.commit()

    event.listen(engine, "connect", configure)
    return engine


def _make_private(path: Path) -> None:
    """Make the file for its owner alone where there is none: prompts are in it. Its companions inherit the mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise OutputError(f"{path}: cannot be opened ({error.strerror}).", option="database") from error


def _write_ahead(driver: Any, timeout_s: float) -> str:
    """Ask for a write-ahead log, and say which log there is.

    Of several that ask for a new file's at once SQLite turns away all but one, without the wait that it else grants.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return str(mode)


def _configure_sqlite(driver: Any, timeout_s: float) -> None:
    mode = _write_ahead(driver, timeout_s)
    if mode != "wal":
        raise StoreError("The database's disk takes no write-ahead log.", hint="Put it on a local disk.")
    driver.execute("PRAGMA synchronous = FULL")  # a file that left the house is recorded, whatever the power does
    driver.execute("PRAGMA foreign_keys = ON")
    driver.execute("PRAGMA secure_delete = ON")  # erased means overwritten


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options()[_BEGIN])
