"""Jobs for the tests of the queue, and a clock that a test moves."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert

from hibari.store import Store, tables
from hibari.store.queue import Job, NewJob, Queue, Quota

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WIDE = Quota(queue=10_000, jobs_at_once=10_000, seconds_a_day=1e9)


class Hand:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self, connection: Connection) -> datetime:  # noqa: ARG002  # what a clock is given
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def new(user: str = "ann", *, priority: int = 0, model: str = "mini", files: dict[str, str] | None = None) -> NewJob:
    return NewJob(
        user=user,
        verb="create",
        model=model,
        prompt="a panda",
        size="96x64",
        seconds="4",
        request={"seed": 7},
        priority=priority,
        cost=2.5,
        files=files or {},
    )


def add(queue: Queue, user: str = "ann", *, priority: int = 0, model: str = "mini") -> Job:
    return queue.add(new(user, priority=priority, model=model), quota=WIDE, seconds=4)


def taken(queue: Queue, owner: str = "w") -> Job:
    job = queue.claim(owner)
    assert job is not None, "there was one"
    return job


def add_endpoint(store: Store, name: str, user: str, *kinds: str) -> None:
    row = {"id": name, "user_name": user, "name": name, "url": "https://example.org", "event_types": list(kinds)}
    with store.writing() as connection:
        connection.execute(insert(tables.webhook_endpoints).values(row | {"secret": "s", "created_at": NOON}))
