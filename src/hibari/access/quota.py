"""How much a user may have: their own limits where they are set, else the service's; and what they have used.

The queue counts and refuses, in the transaction that takes a job in; this file says against what.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from hibari.access.actors import UserLimits
from hibari.config import ServiceSettings
from hibari.store import Store, tables

_UNFINISHED = ("queued", "in_progress")


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What holds for a user: seconds of video on a UTC day, jobs that wait or run at once, and their priority."""

    seconds_a_day: float
    jobs_at_once: int
    priority: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a user has had: seconds of video asked for on this UTC day, and jobs that wait or run now."""

    seconds_today: float
    jobs: int


def allowance(limits: UserLimits, service: ServiceSettings) -> Allowance:
    """The limits that hold for a user who has these of their own."""
    return Allowance(
        seconds_a_day=service.seconds_a_day if limits.seconds_a_day is None else limits.seconds_a_day,
        jobs_at_once=service.jobs_at_once if limits.jobs_at_once is None else limits.jobs_at_once,
        priority=limits.priority,
    )


def usage(store: Store, user: str, at: datetime | None = None) -> Usage:
    """What a user has had at that moment (now, where none is given); raises StoreError."""
    used, videos = tables.usage, tables.videos
    day = (at or datetime.now(UTC)).astimezone(UTC).date().isoformat()
    seconds = select(used.c.seconds).where(used.c.user_name == user, used.c.day == day)
    jobs: Any = select(func.count()).where(videos.c.user_name == user, videos.c.status.in_(_UNFINISHED))
    with store.reading() as connection:
        return Usage(
            seconds_today=connection.execute(seconds).scalar() or 0.0, jobs=connection.execute(jobs).scalar_one()
        )
