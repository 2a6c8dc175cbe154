"""What a request with an `Idempotency-Key` made, so that it makes it once. It works in the transactions of others."""

from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, delete, insert, select

from hibari.errors import InvalidRequest
from hibari.store import tables

RequestKey: TypeAlias = tuple[str, str]
"""The key, and the SHA-256 of the request that it came with."""


def made_before(connection: Connection, user: str, key: RequestKey) -> str | None:
    """The id of what this key of a user's made; raises InvalidRequest where the request was another."""
    table, (name, sha256) = tables.idempotency, key
    mine = select(table).where(table.c.user_name == user, table.c.key == name)
    known = connection.execute(mine).one_or_none()
    if known is None:
        return None
    if known.request_sha256 != sha256:
        raise InvalidRequest(
            "This key came with another request before.",
            option="Idempotency-Key",
            hint="Send a new key, or the same request.",
        )
    id: str = known.video_id
    return id


def remember(connection: Connection, user: str, key: RequestKey, id: str, now: datetime) -> None:
    """Keep what a key made."""
    row = {"user_name": user, "key": key[0], "request_sha256": key[1], "video_id": id, "created_at": now}
    connection.execute(insert(tables.idempotency).values(row))


def forget(connection: Connection, id: str) -> None:
    """Free the key that made something that is gone."""
    connection.execute(delete(tables.idempotency).where(tables.idempotency.c.video_id == id))
