"""What a database says when it cannot, in words that a person can act on."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from hibari.errors import StoreError

SQLITE = {  # primary result codes: https://sqlite.org/rescode.html
    sqlite3.SQLITE_BUSY: ("another process holds it locked", "Try again, or stop the process that holds it."),
    sqlite3.SQLITE_LOCKED: ("another process holds it locked", "Try again, or stop the process that holds it."),
    sqlite3.SQLITE_FULL: ("the disk is full", "Make room; what is recorded is unharmed."),
    sqlite3.SQLITE_IOERR: ("the disk refuses to read or write", "Look at its room, its quota and its health."),
    sqlite3.SQLITE_READONLY: ("it cannot be written", "Check who owns the file and its folder."),
    sqlite3.SQLITE_PERM: ("it cannot be opened", "Check who owns the file and its folder."),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Check that its folder exists and who owns it."),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "Restore it from a backup; do not write to it."),
    sqlite3.SQLITE_NOTADB: ("the file is not a database, or it is damaged", "Restore it from a backup."),
}
POSTGRES = {  # https://www.postgresql.org/docs/current/errcodes-appendix.html
    "53100": ("the disk is full", "Make room; what is recorded is unharmed."),
    "55P03": ("another process holds it locked", "Try again, or stop the process that holds it."),
    "57014": ("the server cancelled the query", "Try again."),
    "40001": ("another process changed the same rows", "Try again."),
    "40P01": ("another process changed the same rows", "Try again."),
    "25006": ("it cannot be written", "Is it a standby?"),
    "42501": ("the role may not do this", "Give the role of the URL rights to its own schema."),
    "XX001": ("the data is damaged", "Restore it from a backup."),
    "XX002": ("an index is damaged", "Rebuild it with REINDEX."),
}
_PRIMARY = 0xFF  # the low byte of an extended result code


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise StoreError for whatever the driver raises inside; `name` is the database as a person knows it."""
    try:
        yield
    except IntegrityError as error:
        raise StoreError(f"{name}: this contradicts what is recorded ({_line(error.orig)}).") from error
    except DBAPIError as error:
        raise _fault(name, error.orig) from error
    except sqlite3.Error as error:  # from a pragma of a fresh connection, before SQLAlchemy wraps anything
        raise _fault(name, error) from error
    except NoConnectionFree as error:
        raise StoreError(f"{name}: all connections are in use.", hint="Try again.") from error


def _fault(name: str, error: BaseException | None) -> StoreError:
    reason, hint = _reason(error)
    return StoreError(f"{name}: {reason}.", hint=hint)


def _reason(error: BaseException | None) -> tuple[str, str]:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)  # absent where the module itself raised
        if code is not None and code & _PRIMARY in SQLITE:
            return SQLITE[code & _PRIMARY]
        return _line(error), ""
    state = getattr(error, "sqlstate", None)  # None where the server was never reached
    if state in POSTGRES:
        return POSTGRES[state]
    if state is None or state.startswith(("08", "28", "3D", "57P")):
        return f"it cannot be reached ({_line(error)})", "Is the server up, and are the URL and its password right?"
    return _line(error), ""


def _line(error: BaseException | None) -> str:
    """The first line of a driver's message, which may go on with the statement's own values."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
