"""The workers that are there, as they say themselves every few seconds. Leases are the queue's, and know none of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from hibari.machine import Holding
from hibari.store import tables
from hibari.store.database import Clock, Store, database_clock

TOLD_EVERY_S = 10.0  # how often a worker says so
_FORGOTTEN = timedelta(days=1)  # what was killed says no farewell


@dataclass(frozen=True, kw_only=True)
class Present:
    """A worker: the name it claims under, when it came and was last seen, and what it holds."""

    owner: str
    started_at: datetime
    seen_at: datetime
    holding: Holding


def seen(store: Store, owner: str, holding: Holding, *, clock: Clock = database_clock) -> None:
    """Say that a worker is there; raises StoreError."""
    values = vars(holding) | {"models": list(holding.models)}
    workers = tables.workers
    with store.writing() as connection:
        now = clock(connection)
        mine = update(workers).where(workers.c.owner == owner).values(seen_at=now, **values)
        if not connection.execute(mine).rowcount:
            connection.execute(delete(workers).where(workers.c.seen_at < now - _FORGOTTEN))
            connection.execute(insert(workers).values(owner=owner, started_at=now, seen_at=now, **values))


def present(store: Store, within: timedelta, *, clock: Clock = database_clock) -> list[Present]:
    """The workers that were seen within a time, the oldest first; raises StoreError."""
    workers = tables.workers
    with store.reading() as connection:
        lately = workers.c.seen_at >= clock(connection) - within
        return [
            Present(
                owner=row.owner,
                started_at=row.started_at,
                seen_at=row.seen_at,
                holding=Holding(
                    device=row.device,
                    models=tuple(row.models),
                    memory_bytes=row.memory_bytes,
                    device_bytes=row.device_bytes,
                ),
            )
            for row in connection.execute(select(workers).where(lately).order_by(workers.c.started_at, workers.c.owner))
        ]


def gone(store: Store, owner: str) -> None:
    """Say that a worker has left; raises StoreError."""
    with store.writing() as connection:
        connection.execute(delete(tables.workers).where(tables.workers.c.owner == owner))
