"""Webhooks: where a user wants to be told, and the outbox of what has still to be told there.

Events are written in the transaction of the change that they tell of (`queue_rows.write_events`), and handed out by
`due` until they are delivered or given up. Signing and sending are not done here: see `serve/api/outbox.py`. Payloads
and signatures follow OpenAI's webhooks, which are Standard Webhooks (standardwebhooks.com).
"""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, or_, select, update

from hibari.errors import InvalidRequest
from hibari.store.database import Clock, Store, database_clock
from hibari.store.queue import Note, lock_adding
from hibari.store.tables import webhook_endpoints as endpoints
from hibari.store.tables import webhook_events as events

EVENT_TYPES = ("video.completed", "video.failed")
MOST_ENDPOINTS = 20  # of one user
MOST_ATTEMPTS = 10
MOST_AT_ONCE = 4  # deliveries of one user
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(hours=6)
HANDED_OUT = timedelta(seconds=60)  # after which a delivery whose sender died is handed out again
OLD_SECRET_HOLDS = timedelta(hours=24)
SECRET_BYTES = 32
LONGEST_NAME, LONGEST_URL, LONGEST_REASON = 200, 2000, 300


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a user wants to be told, and of what. `secret_hint` is the end of its signing secret.

    `last_error` is why the newest event that it has not heard of failed the last time; None where there is none.
    """

    id: str
    user: str
    name: str
    url: str
    event_types: tuple[str, ...]
    secret_hint: str
    created_at: datetime
    last_error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One attempt to tell an endpoint of one event.

    `id` is the event's and the same in each attempt (`webhook-id`); `secrets` are those that sign now, the newest
    first; `sequence` is 0 for a sample, which is in no outbox.
    """

    sequence: int
    id: str
    endpoint_id: str
    url: str
    body: str
    attempt: int
    secrets: tuple[str, ...] = field(repr=False)


class Webhooks:
    """The endpoints and the outbox of a store. Every method raises StoreError where the database cannot.

    What is made, changed or deleted is `note`d in the same transaction, where a note is given.
    """

    def __init__(self, store: Store, *, clock: Clock = database_clock) -> None:
        self._store = store
        self._clock = clock

    def create(
        self, user: str, name: str, url: str, event_types: Sequence[str], note: Note | None = None
    ) -> tuple[Endpoint, str]:
        """A new endpoint and its signing secret ("whsec_" and base64); raises InvalidRequest."""
        values = _checked(name=name, url=url, event_types=event_types)
        secret = _new_secret()
        with self._store.writing() as connection:
            lock_adding(connection)
            count = select(func.count()).select_from(endpoints).where(endpoints.c.user_name == user)
            if (connection.scalar(count) or 0) >= MOST_ENDPOINTS:
                raise InvalidRequest(f"There are {MOST_ENDPOINTS} endpoints already.", hint="Delete one first.")
            own = {"id": f"we_{secrets.token_hex(12)}", "user_name": user, "secret": secret}
            new = values | own | {"created_at": self._clock(connection)}
            row = connection.execute(insert(endpoints).values(new).returning(endpoints)).one()
            if note is not None:
                note(connection, row.id)
        return _endpoint(row), secret

    def find(self, user: str, id: str) -> Endpoint | None:
        """The endpoint of that id, where it is this user's."""
        with self._store.reading() as connection:
            row = _row(connection, user, id)
            return None if row is None else _endpoint(row, _last_error(connection, id))

    def update(self, user: str, id: str, note: Note | None = None, **changes: Any) -> Endpoint | None:
        """Change `name`, `url` or `event_types`; None where there is no such endpoint. Raises InvalidRequest."""
        values = _checked(**changes)
        with self._store.writing() as connection:
            if values:
                connection.execute(update(endpoints).where(*_mine(user, id)).values(values))
            row = _row(connection, user, id)
            if row is not None and note is not None:
                note(connection, id)
            return None if row is None else _endpoint(row, _last_error(connection, id))

    def delete(self, user: str, id: str, note: Note | None = None) -> bool:
        """Delete an endpoint and what was still to be told there; whether it was there."""
        with self._store.writing() as connection:
            was_there = connection.execute(delete(endpoints).where(*_mine(user, id))).rowcount == 1
            if was_there and note is not None:
                note(connection, id)
            return was_there

    def rotate(
        self, user: str, id: str, note: Note | None = None, *, keep_old: bool = True
    ) -> tuple[Endpoint, str] | None:
        """A new signing secret; the old one signs beside it for 24 hours more with `keep_old`. None without it."""
        secret = _new_secret()
        with self._store.writing() as connection:
            row = _row(connection, user, id)
            if row is None:
                return None
            until = self._clock(connection) + OLD_SECRET_HOLDS if keep_old else None
            values = {"secret": secret, "old_secret": row.secret if keep_old else None, "old_secret_until": until}
            changed = update(endpoints).where(*_mine(user, id)).values(values).returning(endpoints)
            endpoint = _endpoint(connection.execute(changed).one())
            if note is not None:
                note(connection, id)
            return endpoint, secret

    def sample(self, user: str, id: str, event_type: str) -> Notice | None:
        """A made-up event for an endpoint, to be sent once and not kept; None without such an endpoint.

        Raises InvalidRequest for a type that there is not.
        """
        _check_types([event_type])
        with self._store.reading() as connection:
            row = _row(connection, user, id)
            at = self._clock(connection)
        if row is None:
            return None
        id_, data = f"evt_{secrets.token_hex(12)}", {"id": "video_" + "0" * 24}
        event = {"id": id_, "object": "event", "created_at": int(at.timestamp()), "type": event_type, "data": data}
        return _notice(row, at, sequence=0, id=id_, body=json.dumps(event), attempt=1)

    def due(self, limit: int) -> list[Notice]:
        """Hand out what is due, at most one event of each endpoint, and none where one is under way, whoever sends it.

        An event that is handed out counts as an attempt and is due again after a minute, should its sender die.
        """
        with self._store.reading() as connection:
            if not _first_of_each(connection, self._clock(connection), limit):
                return []
        with self._store.writing() as connection:
            at = self._clock(connection)
            chosen = _first_of_each(connection, at, limit)
            # Two processes may have chosen the same: whoever comes second skips it or sees that it is no longer due.
            locked = select(events.c.sequence).where(events.c.sequence.in_(chosen), events.c.next_at <= at)
            mine = list(connection.scalars(locked.with_for_update(skip_locked=True)))
            taken = {"attempts": events.c.attempts + 1, "next_at": at + HANDED_OUT, "last_error": None}
            connection.execute(update(events).where(events.c.sequence.in_(mine)).values(taken))
            columns = (*endpoints.c, *(events.c[name].label(f"event_{name}") for name in _OF_EVENT))
            both = select(*columns).join(events, events.c.endpoint_id == endpoints.c.id)
            rows = connection.execute(both.where(events.c.sequence.in_(mine)).order_by(events.c.sequence))
            return [_handed_out(row, at) for row in rows]

    def delivered(self, notice: Notice) -> None:
        """Note that an attempt succeeded."""
        with self._store.writing() as connection:
            done = {"delivered_at": self._clock(connection), "next_at": None, "last_error": None}
            connection.execute(update(events).where(*_this(notice)).values(done))

    def failed(self, notice: Notice, reason: str, *, give_up: bool = False) -> None:
        """Note that an attempt failed: the next one waits four times as long, and after the tenth there is none.

        There is none with `give_up` either.
        """
        with self._store.writing() as connection:
            is_last = give_up or notice.attempt >= MOST_ATTEMPTS
            again = None if is_last else self._clock(connection) + wait_after(notice.attempt)
            values = {"next_at": again, "last_error": reason[:LONGEST_REASON]}
            connection.execute(update(events).where(*_this(notice)).values(values))

    def forget(self, before: datetime) -> int:
        """Delete events older than `before` that were delivered or given up; how many."""
        over = or_(events.c.next_at.is_(None), events.c.attempts >= MOST_ATTEMPTS)
        with self._store.writing() as connection:
            return connection.execute(delete(events).where(over, events.c.created_at < before)).rowcount

    def list(self, user: str) -> list[Endpoint]:
        """A user's endpoints, oldest first."""
        query = select(endpoints).where(endpoints.c.user_name == user)
        with self._store.reading() as connection:
            rows = connection.execute(query.order_by(endpoints.c.created_at, endpoints.c.id))
            return [_endpoint(row, _last_error(connection, row.id)) for row in rows.all()]


def wait_after(attempt: int) -> timedelta:
    """How long to wait after the first, second, ... attempt: 5 s, 20 s, 80 s, ... up to 6 hours."""
    assert attempt > 0, attempt
    return min(FIRST_WAIT * int(4 ** (attempt - 1)), LONGEST_WAIT)


_OF_EVENT = ("sequence", "id", "body", "attempts")


def _first_of_each(connection: Connection, at: datetime, limit: int) -> list[int]:
    """The rows of the events that are due: the longest due of each endpoint that is not told of another just now.

    Of one user no more than MOST_AT_ONCE are under way, so that endpoints that hang leave room for everybody else's.
    """
    told = events.alias()  # handed out, and neither heard nor failed yet
    is_told = and_(told.c.attempts > 0, told.c.next_at > at, told.c.last_error.is_(None))
    under_way = exists().where(told.c.endpoint_id == events.c.endpoint_id, is_told)
    user = endpoints.c.user_name
    busy = select(user, func.count().label("busy")).join(told, told.c.endpoint_id == endpoints.c.id)
    busy_of = busy.where(is_told).group_by(user).subquery()

    place = func.row_number().over(partition_by=events.c.endpoint_id, order_by=(events.c.next_at, events.c.sequence))
    waiting = select(events.c.sequence, events.c.next_at, user, place.label("place")).join(endpoints)
    ranked = waiting.where(events.c.next_at <= at, events.c.attempts < MOST_ATTEMPTS, ~under_way).subquery()
    turn = func.row_number().over(partition_by=ranked.c.user_name, order_by=(ranked.c.next_at, ranked.c.sequence))
    firsts = select(ranked, turn.label("turn")).where(ranked.c.place == 1).subquery()

    allowed = MOST_AT_ONCE - func.coalesce(busy_of.c.busy, 0)
    first = select(firsts.c.sequence).outerjoin(busy_of, busy_of.c.user_name == firsts.c.user_name)
    return list(connection.scalars(first.where(firsts.c.turn <= allowed).order_by(firsts.c.next_at).limit(limit)))


def _notice(row: Row[Any], at: datetime, *, sequence: int, id: str, body: str, attempt: int) -> Notice:
    """A delivery to the endpoint of a row, with the secrets that hold at a moment."""
    holds = row.old_secret is not None and row.old_secret_until is not None and row.old_secret_until > at
    signing = (row.secret, row.old_secret) if holds else (row.secret,)
    return Notice(
        sequence=sequence, id=id, endpoint_id=row.id, url=row.url, body=body, attempt=attempt, secrets=signing
    )


def _handed_out(row: Row[Any], at: datetime) -> Notice:
    """A delivery from a row of an endpoint and its event."""
    attempt, sequence = row.event_attempts, row.event_sequence
    return _notice(row, at, sequence=sequence, id=row.event_id, body=row.event_body, attempt=attempt)


def _this(notice: Notice) -> tuple[Any, ...]:
    """The row of a delivery, unless another attempt has begun since."""
    return events.c.sequence == notice.sequence, events.c.attempts == notice.attempt


def _mine(user: str, id: str) -> tuple[Any, ...]:
    return endpoints.c.user_name == user, endpoints.c.id == id


def _row(connection: Connection, user: str, id: str) -> Row[Any] | None:
    return connection.execute(select(endpoints).where(*_mine(user, id))).first()


def _last_error(connection: Connection, id: str) -> str | None:
    mine = select(events.c.last_error).where(events.c.endpoint_id == id, events.c.last_error.is_not(None))
    return connection.scalar(mine.order_by(events.c.sequence.desc()).limit(1))


def _endpoint(row: Row[Any], last_error: str | None = None) -> Endpoint:
    return Endpoint(
        id=row.id,
        user=row.user_name,
        name=row.name,
        url=row.url,
        event_types=tuple(row.event_types),
        secret_hint=f"whsec_...{row.secret[-4:]}",
        created_at=row.created_at,
        last_error=last_error,
    )


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def _checked(**given: Any) -> dict[str, Any]:
    """The columns of an endpoint that were given, once they are right; raises InvalidRequest."""
    assert given.keys() <= {"name", "url", "event_types"}, given
    values = dict(given)
    if "name" in values and not (isinstance(values["name"], str) and 0 < len(values["name"].strip()) <= LONGEST_NAME):
        raise InvalidRequest("An endpoint has a name.", option="name", hint=f"Give 1 to {LONGEST_NAME} characters.")
    if "url" in values:
        from hibari.fetch import check_url  # brings an HTTP client, which nothing else of the store needs

        if not isinstance(values["url"], str) or len(values["url"]) > LONGEST_URL:
            raise InvalidRequest("That is no address.", option="url", hint=f"Give up to {LONGEST_URL} characters.")
        check_url(values["url"])
    if "event_types" in values:
        values["event_types"] = _check_types(values["event_types"])
    return values


def _check_types(types: Any) -> list[str]:
    """The types once each; raises InvalidRequest for none, for one that there is not, and for what is no list."""
    hint = f"Known: {', '.join(EVENT_TYPES)}."
    if isinstance(types, str) or not isinstance(types, Sequence) or not types:
        raise InvalidRequest("An endpoint has a list of event types.", option="event_types", hint=hint)
    for one in types:
        if one not in EVENT_TYPES:
            raise InvalidRequest(f"{str(one)[:50]!r} is not an event type.", option="event_types", hint=hint)
    return list(dict.fromkeys(types))
