"""The queue of the service: the `videos` table, claimed with a lease that a heartbeat renews. It runs nothing itself.

Whoever claims a job holds it until its lease runs out. Each claim has a number, and whatever the claimer writes
afterwards must still match it (fencing), so that one who was thought dead and comes back changes nothing. An end,
good or bad, and the webhook events that tell of it are one transaction.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Select, and_, case, delete, func, insert, select, update

from hibari.errors import HibariError, InvalidRequest
from hibari.store import tables
from hibari.store.database import Store
from hibari.store.queue_rows import (
    STATUSES,
    Fault,
    Job,
    Lease,
    Moments,
    NewJob,
    Status,
    claiming,
    job_of,
    new_video_id,
    values_of,
    write_events,
)

__all__ = [
    "STATUSES",
    "Fault",
    "Job",
    "Lease",
    "LimitReached",
    "Limits",
    "Moments",
    "NewJob",
    "Queue",
    "Status",
    "database_clock",
    "new_video_id",
]
MAX_CRASHES = 3
MAX_LOST_LEASES = 10
LAST_PROGRESS = 99  # 100 is for what is complete
SERVER_ERROR = "server_error"
_QUEUE_FULL_S, _TOO_MANY_S = 30.0, 10.0  # short enough that clients of the API try again by themselves
_ADDING = 0x68696261  # the advisory lock that makes counting and adding one step on Postgres
Clock = Callable[[Connection], datetime]
Jobs: TypeAlias = list[Job]  # here, since the queue has a method of the name "list"
Names: TypeAlias = list[str]


def database_clock(connection: Connection) -> datetime:
    """The moment: on Postgres the server's, since workers' clocks differ; on SQLite this machine's, the only one."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.execute(select(func.now())).scalar_one()
    return now.astimezone(UTC)


class LimitReached(HibariError):
    """No more for now. `code` is "queue_full", "too_many_jobs" or "daily_seconds"."""

    def __init__(self, message: str, *, code: str, retry_after_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be asked for: jobs waiting in the whole queue, a user's jobs at once and seconds of video on a UTC day.

    `seconds` is what this one request counts as.
    """

    queue: int
    jobs_at_once: int
    seconds_a_day: float
    seconds: float


class Queue:
    """The jobs of one store. `keep_failed_hours` is how long a failed job is kept; each worker's `owner` is unique."""

    def __init__(
        self,
        store: Store,
        *,
        lease_s: float = 15.0,
        keep_failed_hours: float = 24.0,
        clock: Clock = database_clock,
    ) -> None:
        assert lease_s > 0
        self.lease_s = lease_s
        self._store = store
        self._keep_failed = timedelta(hours=keep_failed_hours)
        self._clock = clock

    def add(self, job: NewJob, *, key: tuple[str, str] | None = None, limits: Limits) -> Job:
        """Queue a job; with a `key` (Idempotency-Key, SHA-256 of the request) that made one before, give that one.

        Raises InvalidRequest for a key that another request used, and LimitReached.
        """
        with self._store.writing() as connection:
            if connection.dialect.name != "sqlite":  # SQLite has one writer at a time as it is
                connection.execute(select(func.pg_advisory_xact_lock(_ADDING)))
            now = self._clock(connection)
            if key is not None and (first := _made_before(connection, job.user, key)) is not None:
                return first
            _count(connection, job.user, limits, now)
            row = connection.execute(insert(tables.videos).values(values_of(job, now)).returning(tables.videos)).one()
            if key is not None:
                _remember(connection, job, key, now)
            return job_of(row)

    def claim(self, owner: str, models: Collection[str] | None = None) -> Job | None:
        """Take the next job that is due, of one of the `models` (None: of any); None where there is none.

        A job whose lease was lost ten times is failed on the way.
        """
        with self._store.writing() as connection:
            now = self._clock(connection)
            take = claiming(owner, models, now, now + timedelta(seconds=self.lease_s))
            while (row := connection.execute(take).one_or_none()) is not None:
                job = job_of(row)
                if row.attempt - row.crashes <= MAX_LOST_LEASES:
                    return job
                self._fail(connection, job, SERVER_ERROR, "The workers that took this video were lost.", now)
        return None

    def beat(self, job: Job, progress: int) -> bool:
        """Renew the lease and tell the progress, which never goes back; False: lost or deleted, so stop."""
        videos = tables.videos
        shown = max(0, min(progress, LAST_PROGRESS))
        with self._store.writing() as connection:
            until = self._clock(connection) + timedelta(seconds=self.lease_s)
            forward = case((videos.c.progress < shown, shown), else_=videos.c.progress)
            return _change(connection, job, {"lease": until, "progress": forward})

    def complete(
        self,
        job: Job,
        *,
        files: dict[str, str],
        generation_id: int,
        expires_at: datetime,
        latents_until: datetime | None,
    ) -> bool:
        """End a job well; its `files` join those it came with. False: it was lost or deleted, so its blobs must go."""
        with self._store.writing() as connection:
            now = self._clock(connection)
            values = {
                "status": "completed",
                "progress": 100,
                "completed_at": now,
                "expires_at": expires_at,
                "latents_until": latents_until,
                "generation_id": generation_id,
                "files": job.files | files,
            }
            return self._end(connection, job, values, now)

    def fail(self, job: Job, code: str, message: str) -> bool:
        """End a job badly, with what its user is told; False: it was lost or deleted."""
        with self._store.writing() as connection:
            return self._fail(connection, job, code, message, self._clock(connection))

    def crashed(self, job: Job, message: str) -> bool:
        """Queue a job again whose maker died, later each time; the third time it fails. False: lost or deleted."""
        with self._store.writing() as connection:
            now, crashes = self._clock(connection), job.crashes + 1
            if crashes >= MAX_CRASHES:
                return self._fail(connection, job, SERVER_ERROR, message, now, crashes=crashes)
            later = now + timedelta(seconds=2**crashes)
            return _change(connection, job, _WAITING | {"crashes": crashes, "not_before": later})

    def give_back(self, job: Job) -> bool:
        """Queue a job again as if it had not been claimed, for a worker that stops; False: lost or deleted."""
        with self._store.writing() as connection:
            return _change(connection, job, _WAITING | {"attempt": tables.videos.c.attempt - 1})

    def find(self, id: str) -> Job | None:
        """The job of an id, whoever's it is."""
        with self._store.reading() as connection:
            return _find(connection, id)

    def list(
        self, user: str | None, *, limit: int, after: str | None, order: Literal["asc", "desc"]
    ) -> tuple[Jobs, bool]:
        """At most `limit` videos of a user (None: of all) past the one of id `after`, and whether there are more.

        Raises InvalidRequest where the user has no job of that id.
        """
        videos = tables.videos
        query = select(videos).where(videos.c.verb != "image").limit(limit + 1)  # those are answered as they are asked
        if user is not None:
            query = query.where(videos.c.user_name == user)
        with self._store.reading() as connection:
            if after is not None:
                last = _find(connection, after)
                if last is None or user not in (None, last.user):
                    raise InvalidRequest(
                        "No video of yours has this id.", option="after", hint="Give last_id of the page before."
                    )
                past = videos.c.sequence > last.sequence if order == "asc" else videos.c.sequence < last.sequence
                query = query.where(past)
            query = query.order_by(videos.c.sequence.asc() if order == "asc" else videos.c.sequence.desc())
            jobs = _jobs(connection, query)
        return jobs[:limit], len(jobs) > limit

    def remove(self, id: str) -> Job | None:
        """Delete a job in whatever state, so that who runs it loses it; what it was, or None where there is none."""
        videos, keys = tables.videos, tables.idempotency
        with self._store.writing() as connection:
            connection.execute(delete(keys).where(keys.c.video_id == id))
            row = connection.execute(delete(videos).where(videos.c.id == id).returning(videos)).one_or_none()
            return job_of(row) if row is not None else None

    def expired(self, limit: int = 100) -> Jobs:
        """Finished jobs whose time is over: the caller removes each, and then its blobs."""
        videos = tables.videos
        with self._store.reading() as connection:
            over = and_(videos.c.status.in_(("completed", "failed")), videos.c.expires_at <= self._clock(connection))
            return _jobs(connection, select(videos).where(over).order_by(videos.c.expires_at).limit(limit))

    def depth(self) -> dict[str, int]:
        """How many jobs there are in each of the four states."""
        status = tables.videos.c.status
        with self._store.reading() as connection:
            counted = {row[0]: row[1] for row in connection.execute(select(status, func.count()).group_by(status))}
        return {each: counted.get(each, 0) for each in STATUSES}

    def drop_latents(self) -> Names:
        """Take latents whose time is over out of their rows; the blobs that nothing names any more."""
        videos = tables.videos
        names = []
        with self._store.writing() as connection:
            over = select(videos).where(videos.c.latents_until <= self._clock(connection)).with_for_update()
            for job in _jobs(connection, over):
                files = dict(job.files)
                names += [files.pop("latents")] if "latents" in files else []
                row = update(videos).where(videos.c.sequence == job.sequence)
                connection.execute(row.values(files=files, latents_until=None))
        return names

    def _fail(self, connection: Connection, job: Job, code: str, message: str, now: datetime, **more: Any) -> bool:
        values = {
            "status": "failed",
            "completed_at": now,
            "expires_at": now + self._keep_failed,
            "error_code": code,
            "error_message": message,
        }
        return self._end(connection, job, values | more, now)

    def _end(self, connection: Connection, job: Job, values: dict[str, Any], now: datetime) -> bool:
        """The last change of a job, with the events that tell of it."""
        if not _change(connection, job, values | {"owner": None, "lease": None}):
            return False
        write_events(connection, user=job.user, video_id=job.id, kind=f"video.{values['status']}", now=now)
        return True


_WAITING: dict[str, Any] = {"status": "queued", "owner": None, "lease": None, "not_before": None}


def _change(connection: Connection, job: Job, values: dict[str, Any]) -> bool:
    """Change a running job, if it is still this claim's: the fence."""
    assert job.lease is not None, "only a claimed job is changed"
    videos = tables.videos
    mine = and_(
        videos.c.id == job.id,  # not the sequence, which SQLite gives again when the newest row is deleted
        videos.c.owner == job.lease.owner,
        videos.c.attempt == job.lease.attempt,
        videos.c.status == "in_progress",
    )
    return connection.execute(update(videos).where(mine).values(values)).rowcount == 1


def _find(connection: Connection, id: str) -> Job | None:
    row = connection.execute(select(tables.videos).where(tables.videos.c.id == id)).one_or_none()
    return job_of(row) if row is not None else None


def _jobs(connection: Connection, query: Select[Any]) -> Jobs:
    return [job_of(row) for row in connection.execute(query)]


def _made_before(connection: Connection, user: str, key: tuple[str, str]) -> Job | None:
    """The job that this key made, if it is still there; raises InvalidRequest where the request was another."""
    table, (name, sha256) = tables.idempotency, key
    mine = and_(table.c.user_name == user, table.c.key == name)
    known = connection.execute(select(table).where(mine)).one_or_none()
    if known is None:
        return None
    if known.request_sha256 != sha256:
        raise InvalidRequest(
            "This key came with another request before.",
            option="Idempotency-Key",
            hint="Send a new key, or the same request.",
        )
    job = _find(connection, known.video_id)
    if job is None:  # deleted since: the key is free again
        connection.execute(delete(table).where(mine))
    return job


def _remember(connection: Connection, job: NewJob, key: tuple[str, str], now: datetime) -> None:
    row = {"user_name": job.user, "key": key[0], "request_sha256": key[1], "video_id": job.id, "created_at": now}
    connection.execute(insert(tables.idempotency).values(row))


def _count(connection: Connection, user: str, limits: Limits, now: datetime) -> None:
    """Hold a request against the limits and book its seconds; raises LimitReached."""
    videos = tables.videos
    waiting = select(func.count()).select_from(videos).where(videos.c.status == "queued")
    if connection.execute(waiting).scalar_one() >= limits.queue:
        raise LimitReached("The queue is full.", code="queue_full", retry_after_s=_QUEUE_FULL_S, hint="Try again soon.")
    unfinished = videos.c.status.in_(("queued", "in_progress"))
    mine = select(func.count()).select_from(videos).where(videos.c.user_name == user, unfinished)
    if connection.execute(mine).scalar_one() >= limits.jobs_at_once:
        raise LimitReached(
            f"You have {limits.jobs_at_once} unfinished videos, as many as you may have at once.",
            code="too_many_jobs",
            retry_after_s=_TOO_MANY_S,
            hint="Wait until one is done, or delete one.",
        )
    _book(connection, user, limits, now)


def _book(connection: Connection, user: str, limits: Limits, now: datetime) -> None:
    """Add to the seconds of video that a user asked for today; raises LimitReached."""
    usage, day = tables.usage, now.astimezone(UTC).date()
    mine = and_(usage.c.user_name == user, usage.c.day == day.isoformat())
    used = connection.execute(select(usage.c.seconds).where(mine)).scalar_one_or_none()
    if (used or 0.0) + limits.seconds > limits.seconds_a_day:
        tomorrow = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
        raise LimitReached(
            f"{limits.seconds:g} more seconds of video are over your {limits.seconds_a_day:g} a day"
            f" ({used or 0.0:g} used).",
            code="daily_seconds",
            retry_after_s=(tomorrow - now).total_seconds(),
            hint="Ask for less, or again after midnight UTC.",
        )
    if used is None:
        connection.execute(insert(usage).values(user_name=user, day=day.isoformat(), seconds=limits.seconds))
    else:
        connection.execute(update(usage).where(mine).values(seconds=used + limits.seconds))
