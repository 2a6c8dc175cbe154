"""What a row of the queue is to those who work with it, and the events that tell of its end. No transactions here."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, Update, and_, case, func, insert, or_, select, update

from hibari.store import tables

Status = Literal["queued", "in_progress", "completed", "failed"]
SWITCHED_AFTER = timedelta(seconds=30)  # waited: then a job is worth loading its model for
STATUSES: tuple[Status, ...] = ("queued", "in_progress", "completed", "failed")


def new_video_id() -> str:
    """A new video's id: video_ and 24 hex digits, which nobody guesses."""
    return f"video_{secrets.token_hex(12)}"


@dataclass(frozen=True, kw_only=True)
class Moments:
    """When a job was made, first claimed, ended (well or not), and when it and its files go; None: not yet."""

    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a job failed, for its user: a code of the API, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Whose a running job is and until when; `attempt` is the number of this claim, which fences earlier ones off."""

    owner: str
    attempt: int
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row of `videos`, as it was when it was read."""

    sequence: int
    id: str
    user: str
    verb: str
    model: str
    prompt: str | None
    size: str
    seconds: str
    request: dict[str, Any]
    source_id: str | None
    status: Status
    progress: int
    moments: Moments
    error: Fault | None
    priority: int
    cost: float
    lease: Lease | None
    crashes: int
    generation_id: int | None
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to be queued. `id` is given where files of it were stored before, as `files` names them.

    A lower `priority` goes first; `cost` is the work it is estimated at, in units of the cost model.
    """

    user: str
    verb: str
    model: str
    prompt: str
    size: str
    seconds: str
    request: dict[str, Any]
    source_id: str | None = None
    priority: int = 0
    cost: float = 0.0
    files: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=new_video_id)


def values_of(job: NewJob, now: datetime) -> dict[str, Any]:
    """The columns of a job that is queued now."""
    given = {name: value for name, value in vars(job).items() if name != "user"}
    return given | {
        "user_name": job.user,
        "status": "queued",
        "progress": 0,
        "created_at": now,
        "attempt": 0,
        "crashes": 0,
    }


def job_of(row: Row[Any]) -> Job:
    """The job of a whole row of `videos`."""
    lease = Lease(owner=row.owner, attempt=row.attempt, until=row.lease) if row.owner is not None else None
    error = Fault(code=row.error_code, message=row.error_message) if row.error_code is not None else None
    return Job(
        sequence=row.sequence,
        id=row.id,
        user=row.user_name,
        verb=row.verb,
        model=row.model,
        prompt=row.prompt,
        size=row.size,
        seconds=row.seconds,
        request=row.request,
        source_id=row.source_id,
        status=row.status,
        progress=row.progress,
        moments=Moments(
            created_at=row.created_at,
            started_at=row.started_at,
            completed_at=row.completed_at,
            expires_at=row.expires_at,
        ),
        error=error,
        priority=row.priority,
        cost=float(row.cost),  # SQLite hands back a whole number where it can
        lease=lease,
        crashes=row.crashes,
        generation_id=row.generation_id,
        files=row.files or {},
    )


def claiming(
    owner: str, models: Collection[str] | None, now: datetime, until: datetime, held: Collection[str] = ()
) -> Update:
    """The one statement that hands the next job to `owner`: what is due, or what a lost owner left behind.

    Lower priority numbers first, then jobs of the models that are `held` and those that have waited long enough, then
    users with fewer jobs running, then the older job. On Postgres, rows that another claim holds are skipped; SQLite
    has one writer at a time.
    """
    videos = tables.videos
    candidate, running = videos.alias("candidate"), videos.alias("running")
    busy = (
        select(running.c.user_name, func.count().label("jobs"))
        .where(running.c.status == "in_progress", running.c.lease >= now)
        .group_by(running.c.user_name)
        .subquery("busy")
    )
    waiting = and_(candidate.c.status == "queued", or_(candidate.c.not_before.is_(None), candidate.c.not_before <= now))
    query = (
        select(candidate.c.sequence)
        .outerjoin(busy, busy.c.user_name == candidate.c.user_name)
        .where(or_(waiting, and_(candidate.c.status == "in_progress", candidate.c.lease < now)))
    )
    if models is not None:
        query = query.where(candidate.c.model.in_(models))
    order = [candidate.c.priority, func.coalesce(busy.c.jobs, 0), candidate.c.sequence]
    if held:
        is_near = or_(candidate.c.model.in_(held), candidate.c.created_at < now - SWITCHED_AFTER)
        order.insert(1, case((is_near, 0), else_=1))
    chosen = query.order_by(*order).limit(1).with_for_update(skip_locked=True, of=candidate)
    return (
        update(videos)
        .where(videos.c.sequence == chosen.scalar_subquery())
        .values(
            status="in_progress",
            owner=owner,
            lease=until,
            attempt=videos.c.attempt + 1,
            started_at=func.coalesce(videos.c.started_at, now),
            not_before=None,
        )
        .returning(videos)
    )


def write_events(connection: Connection, *, user: str, video_id: str, kind: str, now: datetime) -> None:
    """Put an event such as "video.completed" into the outbox, once for each endpoint of the user that asked for it."""
    endpoints = tables.webhook_endpoints
    mine = select(endpoints.c.id, endpoints.c.event_types).where(endpoints.c.user_name == user)
    rows = []
    for endpoint in connection.execute(mine):
        if kind not in endpoint.event_types:
            continue
        event_id = f"evt_{secrets.token_hex(12)}"
        body = {
            "id": event_id,
            "object": "event",
            "created_at": int(now.timestamp()),
            "type": kind,
            "data": {"id": video_id},
        }
        rows.append(
            {
                "id": event_id,
                "endpoint_id": endpoint.id,
                "body": json.dumps(body),
                "created_at": now,
                "attempts": 0,
                "next_at": now,
            }
        )
    if rows:
        connection.execute(insert(tables.webhook_events), rows)
