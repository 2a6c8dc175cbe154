"""What the service keeps of a person: shown to them whole, and erased with the rest.

Secrets are not in an export: a key's digest and a webhook's secret say nothing about a person, and open doors. The
audit log keeps its rows, with a pseudonym for the name: who is answerable for the service has to prove what was done.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from hibari.store import tables
from hibari.store.pseudonyms import LOCAL, pseudonym, user_resource

OWNED: dict[str, Table] = {
    "videos": tables.videos,
    "characters": tables.characters,
    "usage": tables.usage,
    "idempotency_keys": tables.idempotency,
    "api_keys": tables.api_keys,
    "webhooks": tables.webhook_endpoints,
}
SECRETS = {("api_keys", "sha256"), ("webhook_endpoints", "secret"), ("webhook_endpoints", "old_secret")}


def export(connection: Connection, user: str) -> dict[str, list[dict[str, Any]]]:
    """Everything of a user in the service's tables, as plain values."""
    users, events, endpoints, audit = tables.users, tables.webhook_events, tables.webhook_endpoints, tables.audit
    found = {name: _rows(connection, table, table.c.user_name == user) for name, table in OWNED.items()}
    theirs = select(endpoints.c.id).where(endpoints.c.user_name == user)
    return found | {
        "account": _rows(connection, users, users.c.name == user),
        "webhook_events": _rows(connection, events, events.c.endpoint_id.in_(theirs)),
        "audit": _rows(connection, audit, audit.c.actor.in_(_names(user))),
    }


def erase(connection: Connection, user: str) -> tuple[int, int, tuple[str, ...]]:
    """Take a user out of the service's tables: the videos and all rows, counted, and whose blobs the caller clears."""
    videos, characters, audit = tables.videos, tables.characters, tables.audit
    made = list(connection.scalars(select(videos.c.id).where(videos.c.user_name == user)))
    kept = list(connection.scalars(select(characters.c.id).where(characters.c.user_name == user)))
    rows = 0
    for table in OWNED.values():  # a webhook's events go with it
        rows += connection.execute(delete(table).where(table.c.user_name == user)).rowcount
    rows += connection.execute(delete(tables.users).where(tables.users.c.name == user)).rowcount
    for name in _names(user):
        connection.execute(update(audit).where(audit.c.actor == name).values(actor=pseudonym(name)))
        about = audit.c.resource == user_resource(name)
        connection.execute(update(audit).where(about).values(resource=user_resource(pseudonym(name))))
    return len(made), rows, (*made, *kept)


def _names(user: str) -> tuple[str, str]:
    return user, LOCAL + user  # the same person at the command line


def _rows(connection: Connection, table: Table, condition: Any) -> list[dict[str, Any]]:
    shown = [column for column in table.columns if (table.name, column.name) not in SECRETS]
    rows = connection.execute(select(*shown).where(condition).order_by(*table.primary_key))
    return [{key: _plain(value) for key, value in row._asdict().items() if key != "user_name"} for row in rows]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
