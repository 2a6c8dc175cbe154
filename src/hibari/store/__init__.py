"""One database for all that an installation remembers: tables, migrations, opening and locking.

SQLite unless a Postgres URL is given; the same tables and the same code. What the rows mean belongs to the rooms
above: `provenance/ledger` writes and reads them.
"""

from hibari.errors import StoreError
from hibari.store.database import Store

__all__ = ["Store", "StoreError"]
