"""Bring a database to the tables of this code, or say why that cannot be.

alembic is imported only where there is something to bring about: that takes longer than all the rest of an opening.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from hibari.errors import StoreError

if TYPE_CHECKING:
    from alembic.migration import MigrationContext

FOLDER = Path(__file__).parent / "migrations"
VERSION_TABLE = "hibari_schema"  # a name of its own: other programs' alembic tables are not ours
_LOCK = 0x68_69_62_61_72_69  # "hibari", the advisory lock that migrating takes on Postgres


def newest() -> str:
    """The version of the tables that this code works with: the number that its last step's file is named by."""
    return max(path.stem.rpartition("_")[2] for path in (FOLDER / "versions").glob("*_[0-9][0-9][0-9][0-9].py"))


def is_current(connection: Connection, name: str) -> bool:
    """Whether the tables are those of this code; raises StoreError where they are newer, or another program's."""
    found = inspect(connection)
    version = None
    if found.has_table(VERSION_TABLE):
        version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()
    if version == newest():
        return True
    if version is None and found.get_table_names():
        raise StoreError(f"{name} holds another program's tables.", hint="Give an empty or new database.")
    if version is not None and version > newest():
        raise StoreError(
            f"{name} was written by a newer Hibari (schema {version}, known up to {newest()}).",
            hint="Update Hibari; an older one would lose what the newer one keeps.",
        )
    return False


def migrate(connection: Connection, name: str) -> None:
    """Run the steps that are missing, all in the transaction of `connection`; one process at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # a large table takes its time
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    if is_current(connection, name):
        return  # another process was first
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    script, context = ScriptDirectory(str(FOLDER)), _context(connection)
    with Operations.context(context):
        for step in reversed(list(script.iterate_revisions("head", context.get_current_revision() or "base"))):
            step.module.upgrade()
            context.stamp(script, step.revision)


def _context(connection: Connection) -> "MigrationContext":
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
