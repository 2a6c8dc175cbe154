"""What a user may have, what they have had, and the refusal where it is too much: the one place that counts.

How much somebody may have is `access`'s to say, and what a request counts as is said by who takes it in.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, case, func, insert, select, update

from hibari.errors import HibariError
from hibari.store import tables

_QUEUE_FULL_S, _TOO_MANY_S = 30.0, 10.0  # short enough that clients of the API try again by themselves


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What holds for a user: seconds of video on a UTC day, jobs that wait or run at once; and waiting jobs in all."""

    seconds_a_day: float
    jobs_at_once: int
    queue: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a user has had: seconds of video that a UTC day was charged with, and jobs that wait or run now."""

    seconds_today: float
    jobs: int


class LimitReached(HibariError):
    """No more for now. `code` is "queue_full", "too_many_jobs" or "daily_seconds"."""

    def __init__(self, message: str, *, code: str, retry_after_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retry_after_s = retry_after_s


def used(connection: Connection, user: str, at: datetime) -> Usage:
    """What a user has had at that moment."""
    usage, videos = tables.usage, tables.videos
    seconds = select(usage.c.seconds).where(usage.c.user_name == user, usage.c.day == _day(at))
    unfinished = videos.c.status.in_(("queued", "in_progress"))
    jobs = select(func.count()).select_from(videos).where(videos.c.user_name == user, unfinished)
    return Usage(seconds_today=connection.execute(seconds).scalar() or 0.0, jobs=connection.execute(jobs).scalar_one())


def check(connection: Connection, user: str, seconds: float, quota: Quota, now: datetime) -> None:
    """Hold one more job of so many seconds against a quota; raises LimitReached."""
    videos = tables.videos
    waiting = select(func.count()).select_from(videos).where(videos.c.status == "queued")
    if connection.execute(waiting).scalar_one() >= quota.queue:
        raise LimitReached("The queue is full.", code="queue_full", retry_after_s=_QUEUE_FULL_S, hint="Try again soon.")
    had = used(connection, user, now)
    if had.jobs >= quota.jobs_at_once:
        raise LimitReached(
            f"You have {had.jobs} unfinished videos, and may have {quota.jobs_at_once} at once.",
            code="too_many_jobs",
            retry_after_s=_TOO_MANY_S,
            hint="Wait until one is done, or delete one.",
        )
    if had.seconds_today + seconds > quota.seconds_a_day:
        tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
        raise LimitReached(
            f"{round(seconds, 2):g} more seconds of video are over your {quota.seconds_a_day:g} a day"
            f" ({round(had.seconds_today, 2):g} used).",
            code="daily_seconds",
            retry_after_s=(tomorrow - now).total_seconds(),
            hint="Ask for less, or again after midnight UTC.",
        )


def book(connection: Connection, user: str, seconds: float, quota: Quota, now: datetime) -> None:
    """Hold one more job of so many seconds against a quota, and book the seconds; raises LimitReached."""
    check(connection, user, seconds, quota, now)
    usage, day = tables.usage, _day(now)
    mine = and_(usage.c.user_name == user, usage.c.day == day)
    if not connection.execute(update(usage).where(mine).values(seconds=usage.c.seconds + seconds)).rowcount:
        connection.execute(insert(usage).values(user_name=user, day=day, seconds=seconds))


def give_back(connection: Connection, video_id: str) -> None:
    """Take what a job was booked as off the day that it was booked on, since nothing came of it."""
    usage, videos = tables.usage, tables.videos
    row = connection.execute(select(videos).where(videos.c.id == video_id)).one()
    mine = and_(usage.c.user_name == row.user_name, usage.c.day == _day(row.created_at))
    left = case((usage.c.seconds > row.booked, usage.c.seconds - row.booked), else_=0.0)
    connection.execute(update(usage).where(mine).values(seconds=left))


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
