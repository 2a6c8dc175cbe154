"""Bring a database to the tables of this code, or say why that cannot be."""

from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from hibari.errors import StoreError

FOLDER = Path(__file__).parent / "migrations"
VERSION_TABLE = "hibari_schema"  # a name of its own: other programs' alembic tables are not ours
_LOCK = 0x68_69_62_61_72_69  # "hibari", the advisory lock that migrating takes on Postgres


def newest() -> str:
    """The version of the tables that this code works with."""
    head = ScriptDirectory(str(FOLDER)).get_current_head()
    assert head is not None, "there is a first step"
    return head


def is_current(connection: Connection, name: str) -> bool:
    """Whether the tables are those of this code; raises StoreError where they are newer, or another program's."""
    script = ScriptDirectory(str(FOLDER))
    version = _context(connection).get_current_revision()
    if version is None and inspect(connection).get_table_names():
        raise StoreError(f"{name} holds another program's tables.", hint="Give an empty or new database.")
    if version is not None and version not in {step.revision for step in script.walk_revisions()}:
        raise StoreError(
            f"{name} was written by a newer Hibari (schema {version}, known up to {script.get_current_head()}).",
            hint="Update Hibari; an older one would lose what the newer one keeps.",
        )
    return version == script.get_current_head()


def migrate(connection: Connection, name: str) -> None:
    """Run the steps that are missing, all in the transaction of `connection`; one process at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    if is_current(connection, name):
        return  # another process was first
    script, context = ScriptDirectory(str(FOLDER)), _context(connection)
    with Operations.context(context):
        for step in reversed(list(script.iterate_revisions("head", context.get_current_revision() or "base"))):
            step.module.upgrade()
            context.stamp(script, step.revision)


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
