"""How long one waits: seconds from what was seen, for the work that jobs were estimated at. Nothing is promised.

How many seconds a unit of work (`serve.effort`) takes is fitted to the jobs that were done last, with a fixed part for
each. A job that runs is judged by its own pace as well. Until there are any, nothing is known, and clients are told to
ask every second.
"""

import logging
import time
from asyncio import Lock
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from anyio import to_thread
from sqlalchemy import select

from hibari.store import Store, StoreError, tables
from hibari.store.database import database_clock
from hibari.store.queue_rows import Job

LOG = logging.getLogger("hibari.serve")
POLL_MS = (1_000, 10_000)
POLLS = 8  # so often a client asks in the time that a job is expected to take
_FRESH_S, _QUEUED = 2.0, 2000
_SEEN, _LATELY = 12, timedelta(hours=1)  # jobs that say how fast it goes: the last ones, and none much older than them
_TRUSTED = 0.2  # progress from which on a job's own pace says all: before, it is loading that takes the time


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Seconds of a job: `fixed_s` and `unit_s` for each unit of work; None where nothing was seen."""

    fixed_s: float
    unit_s: float

    def seconds(self, units: float) -> float:
        """How long so much work takes."""
        return self.fixed_s + self.unit_s * units


def fit(seen: Sequence[tuple[float, float]]) -> Fit | None:
    """The line through pairs of (units, seconds), by least squares, with no part of it below 0; None of none."""
    if not seen:
        return None
    count = len(seen)
    mean_units = sum(units for units, _ in seen) / count
    mean_s = sum(seconds for _, seconds in seen) / count
    spread = sum((units - mean_units) ** 2 for units, _ in seen)
    if spread <= 1e-9 * max(1.0, mean_units**2):  # all alike: what one took, the next will take
        return Fit(fixed_s=mean_s, unit_s=0.0)
    unit_s = sum((units - mean_units) * (seconds - mean_s) for units, seconds in seen) / spread
    unit_s = max(0.0, unit_s)
    fixed_s = mean_s - unit_s * mean_units
    if fixed_s < 0:
        fixed_s, unit_s = 0.0, mean_s / mean_units
    return Fit(fixed_s=fixed_s, unit_s=unit_s)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The queue as it was a moment ago. `before[i]` is the work of the first i queued jobs.

    `ahead` is how far the database's clock, which jobs are stamped with, is before this machine's.
    """

    order: tuple[tuple[int, int], ...] = ()
    before: tuple[float, ...] = (0.0,)
    running: int = 0
    fit: Fit | None = None
    ahead: timedelta = timedelta()

    def place(self, job: Job) -> int | None:
        """How many queued jobs are more urgent, or as urgent and older; None where it does not wait.

        Who is claimed next depends on who runs just then (fair share), on what each worker holds, and on retries that
        wait a moment: none of it is known beforehand, so that a job may be claimed before its place says, or after.
        """
        return bisect_left(self.order, (job.priority, job.sequence)) if job.status == "queued" else None

    def seconds(self, job: Job) -> float | None:
        """How long until it is done; None where nothing is known."""
        place = self.place(job)
        if place is None:
            return self._left(job)
        if self.fit is None:
            return None
        whole = self.fit.seconds(job.cost)
        waiting = self.fit.unit_s * self.before[place] + self.fit.fixed_s * place
        return waiting / max(1, self.running) + whole

    def _left(self, job: Job) -> float | None:
        """What is left of a job that runs: by its own pace, and by what others took as long as it has hardly begun."""
        share, began = job.progress / 100, job.moments.started_at
        usual = self.fit.seconds(job.cost) * (1 - share) if self.fit is not None else None
        is_first = job.lease is not None and job.lease.attempt == 1  # else it has begun before, and lost that
        if began is None or not is_first or not share or (usual is None and share < _TRUSTED):
            return usual
        taken = (datetime.now(UTC) + self.ahead - began).total_seconds()
        own = max(0.0, taken) * (1 - share) / share
        trust = min(1.0, share / _TRUSTED)
        return own if usual is None else trust * own + (1 - trust) * usual

    def poll_ms(self, job: Job) -> int:
        """When a client should ask again, as the whole number that its header wants."""
        seconds = self.seconds(job)
        low, high = POLL_MS
        return low if seconds is None else min(high, max(low, round(seconds * 1000 / POLLS)))


class Forecast:
    """The outlook, read again when it is older than two seconds and somebody asks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._outlook = Outlook()
        self._read_at = float("-inf")

    async def outlook(self) -> Outlook:
        """The queue, not older than two seconds, or as it was last seen where the database is busy."""
        if time.monotonic() - self._read_at > _FRESH_S:
            async with self._lock:
                if time.monotonic() - self._read_at > _FRESH_S:
                    try:
                        self._outlook = await to_thread.run_sync(read_outlook, self._store)
                    except StoreError as error:  # a guess is no reason to fail what is already stored
                        LOG.warning("the queue cannot be looked at: %s", error)
                    self._read_at = time.monotonic()
        return self._outlook


def read_outlook(store: Store) -> Outlook:
    """The outlook as the database has it; raises StoreError."""
    videos = tables.videos
    done = select(videos.c.cost, videos.c.started_at, videos.c.completed_at).where(
        videos.c.status == "completed", videos.c.started_at.is_not(None)
    )
    waiting = select(videos.c.priority, videos.c.sequence, videos.c.cost).where(videos.c.status == "queued")
    with store.reading() as connection:
        seen = connection.execute(done.order_by(videos.c.completed_at.desc()).limit(_SEEN)).all()
        queue = connection.execute(waiting.order_by(videos.c.priority, videos.c.sequence).limit(_QUEUED)).all()
        running = connection.execute(select(videos.c.id).where(videos.c.status == "in_progress")).all()
        ahead = database_clock(connection) - datetime.now(UTC)
    late = [row for row in seen if row.completed_at > seen[0].completed_at - _LATELY]
    pairs = [(row.cost, (row.completed_at - row.started_at).total_seconds()) for row in late]
    return Outlook(
        order=tuple((row.priority, row.sequence) for row in queue),
        before=tuple(accumulate((row.cost for row in queue), initial=0.0)),
        running=len(running),
        fit=fit(pairs),
        ahead=ahead,
    )
