"""The queue of the service: the `videos` table, claimed with a lease that a heartbeat renews. It runs nothing itself.

Whoever claims a job holds it until its lease runs out. Each claim has a number, and whatever the claimer writes
afterwards must still match it (fencing), so that one who was thought dead and comes back changes nothing. An end,
good or bad, and the webhook events that tell of it are one transaction.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Select, and_, case, delete, func, insert, select, update

from hibari.errors import InvalidRequest
from hibari.store import holds, idempotency, refusals, tables
from hibari.store.database import Clock, Store, database_clock
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
from hibari.store.quota import LimitReached, Quota, book, check, give_back
from hibari.store.wakes import ring

__all__ = [
    "STATUSES",
    "Fault",
    "Job",
    "Lease",
    "LimitReached",
    "Moments",
    "NewJob",
    "Queue",
    "Quota",
    "Status",
    "new_video_id",
]
MAX_CRASHES = 3
MAX_LOST_LEASES = 10
LAST_PROGRESS = 99  # 100 is for what is complete
SERVER_ERROR, OUT_OF_MEMORY = "server_error", "out_of_memory"  # no fault of who asked
_ADDING = 0x68696261  # the advisory lock that makes counting and adding one step on Postgres
Note: TypeAlias = Callable[[Connection, str], None]  # records that something was done to an id, where it is done
Jobs: TypeAlias = list[Job]  # here, since the queue has a method of the name "list"
Names: TypeAlias = list[str]


def lock_adding(connection: Connection) -> None:
    """Let nobody else count and add before this transaction ends; SQLite has one writer at a time as it is."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(_ADDING)))


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

    def add(
        self,
        job: NewJob,
        *,
        quota: Quota,
        seconds: float,
        key: idempotency.RequestKey | None = None,
        note: Note | None = None,
    ) -> Job:
        """Queue a job that counts as so many seconds of video; with a `key` that made one before, give that one.

        What is queued is `note`d. Raises InvalidRequest for a key that another request used, and LimitReached.
        """
        with self._store.writing() as connection:
            lock_adding(connection)
            now = self._clock(connection)
            if key is not None and (first := _made_before(connection, job.user, key)) is not None:
                return first
            book(connection, job.user, seconds, quota, now)
            values = values_of(job, now) | {"booked": seconds}
            row = connection.execute(insert(tables.videos).values(values).returning(tables.videos)).one()
            ring(connection)
            if key is not None:
                idempotency.remember(connection, job.user, key, job.id, now)
            if note is not None:  # last, here and elsewhere: whoever notes locks the log, and then waits for nobody
                note(connection, job.id)
            return job_of(row)

    def check_room(self, user: str, *, quota: Quota, seconds: float, key: idempotency.RequestKey | None = None) -> None:
        """Raise what `add` would raise now, changing nothing: a look before anything is stored for a job."""
        with self._store.reading() as connection:
            if key is None or _made_before(connection, user, key) is None:
                check(connection, user, seconds, quota, self._clock(connection))

    def made_before(self, user: str, key: idempotency.RequestKey) -> Job | None:
        """The job that this key made, if it is still there; raises InvalidRequest for a key of another request."""
        with self._store.reading() as connection:
            return _made_before(connection, user, key)

    def claim(self, owner: str, models: Collection[str] | None = None, held: Collection[str] = ()) -> Job | None:
        """Take the next job that is due, of one of the `models` (None: of any); None where there is none.

        Jobs of the models that are `held` go before others that have not waited long.
        A job whose lease was lost ten times is failed on the way.
        """
        with self._store.writing() as connection:
            now = self._clock(connection)
            take = claiming(owner, models, now, now + timedelta(seconds=self.lease_s), held)
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
        self, job: Job, *, files: dict[str, str], generation_id: int, keep_hours: float, latents_hours: float
    ) -> bool:
        """End a job well; its `files` join those it came with. False: it was lost or deleted, so its blobs must go.

        All of it goes after `keep_hours`, the latents among the files after `latents_hours`.
        """
        with self._store.writing() as connection:
            now = self._clock(connection)
            values = {
                "status": "completed",
                "progress": 100,
                "completed_at": now,
                "expires_at": now + timedelta(hours=keep_hours),
                "latents_until": now + timedelta(hours=latents_hours) if "latents" in files else None,
                "generation_id": generation_id,
                "files": {kind: name for kind, name in (job.files | files).items() if kind != holds.HELD_FILE},
            }
            return self._end(connection, job, values, now)

    def fail(self, job: Job, code: str, message: str, *, reason: str = "", unmade: bool = False) -> bool:
        """End a job badly, with what its user is told; False: lost or deleted. Counted by `reason`, or else `code`.

        What it was booked as is given back where nothing of it was made (`unmade`), or the fault was the service's.
        """
        with self._store.writing() as connection:
            now = self._clock(connection)
            return self._fail(connection, job, code, message, now, reason=reason, unmade=unmade)

    def hold(
        self,
        job: Job,
        message: str,
        *,
        generation_id: int,
        files: dict[str, str],
        request: dict[str, Any],
        hours: float,
    ) -> bool:
        """End a job that waits for a reviewer's word on a generation, with all that it takes to go on; False: lost.

        It waits for so many hours. Its `files` join those it came with; `request` names them.
        """
        with self._store.writing() as connection:
            now = self._clock(connection)
            more: dict[str, Any] = {
                "generation_id": generation_id,
                "files": job.files | files,
                "request": request,
                "expires_at": now + timedelta(hours=hours),
            }
            return self._fail(connection, job, holds.HELD, message, now, **more)

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

    def list(self, user: str, *, limit: int, after: str | None, order: Literal["asc", "desc"]) -> tuple[Jobs, bool]:
        """At most `limit` videos of a user past the one of id `after`, and whether there are more.

        Raises InvalidRequest where the user has no job of that id.
        """
        videos = tables.videos
        query = select(videos).where(videos.c.user_name == user).limit(limit + 1)
        query = query.where(videos.c.verb != "image")  # those are answered as they are asked
        with self._store.reading() as connection:
            if after is not None:
                last = _find(connection, after)
                if last is None or last.user != user:
                    raise InvalidRequest(
                        "No video of yours has this id.", option="after", hint="Give last_id of the page before."
                    )
                past = videos.c.sequence > last.sequence if order == "asc" else videos.c.sequence < last.sequence
                query = query.where(past)
            query = query.order_by(videos.c.sequence.asc() if order == "asc" else videos.c.sequence.desc())
            jobs = _jobs(connection, query)
        return jobs[:limit], len(jobs) > limit

    def remove(self, id: str, note: Note | None = None) -> Job | None:
        """Delete a job in whatever state, so that who runs it loses it; what it was, or None where there is none.

        What is deleted is `note`d.
        """
        videos = tables.videos
        with self._store.writing() as connection:
            idempotency.forget(connection, id)
            row = connection.execute(delete(videos).where(videos.c.id == id).returning(videos)).one_or_none()
            holds.withdraw(connection, id, "The video was deleted, or nobody decided in time.", self._clock(connection))
            if row is None:
                return None
            if note is not None:
                note(connection, id)
            return job_of(row)

    def take_expired(self) -> Job | None:
        """Delete a finished job whose time is over: what it was, whose blobs go next, or None where there is none."""
        videos = tables.videos
        with self._store.writing() as connection:
            now = self._clock(connection)
            over = and_(videos.c.status.in_(("completed", "failed")), videos.c.expires_at <= now)
            first = select(videos).where(over).order_by(videos.c.expires_at).limit(1)
            # Locked before it goes, so that nobody allows it meanwhile; one that is being allowed is not over.
            row = connection.execute(first.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            idempotency.forget(connection, row.id)
            connection.execute(delete(videos).where(videos.c.sequence == row.sequence))
            holds.withdraw(connection, row.id, "Nobody decided in time.", now)
            return job_of(row)

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

    def drop_refused(self) -> Names:
        """Take the files of refused videos out of their rows; the ids of those, whose blobs are the caller's."""
        with self._store.writing() as connection:
            holds.withdraw_strays(connection, self._clock(connection))
            return holds.take_files(connection)

    def _fail(
        self,
        connection: Connection,
        job: Job,
        code: str,
        message: str,
        now: datetime,
        *,
        reason: str = "",
        unmade: bool = False,
        **more: Any,
    ) -> bool:
        values = {
            "status": "failed",
            "completed_at": now,
            "expires_at": now + self._keep_failed,
            "error_code": code,
            "error_message": message,
        }
        if not self._end(connection, job, values | more, now):
            return False
        refusals.count(connection, reason or code, now)
        if unmade or code in (SERVER_ERROR, OUT_OF_MEMORY):
            give_back(connection, job.id)
        return True

    def _end(self, connection: Connection, job: Job, values: dict[str, Any], now: datetime) -> bool:
        """The last change of a job, with the events that tell of it; a picture is no video, and none tell of it."""
        if not _change(connection, job, values | {"owner": None, "lease": None}):
            return False
        still = values["generation_id"] if values.get("error_code") == holds.HELD else None
        holds.withdraw(connection, job.id, "It was made again.", now, but=still)
        if job.verb != "image":
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


def _made_before(connection: Connection, user: str, key: idempotency.RequestKey) -> Job | None:
    id = idempotency.made_before(connection, user, key)
    return _find(connection, id) if id is not None else None
