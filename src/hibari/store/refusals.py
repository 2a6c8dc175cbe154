"""Refusals, counted by reason and day in the transaction that refuses; no user and no prompt is kept with them."""

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from hibari.store import tables


def count(connection: Connection, reason: str, now: datetime) -> None:
    """Count one more of a reason: the policy's category that said no, or else the error's code."""
    table = tables.refusals
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = insert(table).values(day=now.astimezone(UTC).date().isoformat(), reason=reason, count=1)
    connection.execute(row.on_conflict_do_update(index_elements=["day", "reason"], set_={"count": table.c.count + 1}))


def totals(connection: Connection) -> dict[str, int]:
    """How often each reason was counted, ever."""
    table = tables.refusals
    summed = select(table.c.reason, func.sum(table.c.count)).group_by(table.c.reason).order_by(table.c.reason)
    return {reason: int(sum_) for reason, sum_ in connection.execute(summed)}
