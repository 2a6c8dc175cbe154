"""What a job is estimated at, and when a client is told to ask again. Under a second."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from hibari.serve.api.cost import Fit, Outlook, fit, read_outlook
from hibari.store import Store, tables
from hibari.store.queue import Queue
from hibari.store.queue_rows import Job, Lease, Moments, Status
from queue_jobs import WIDE, new

MOMENTS = Moments(created_at=datetime.now(UTC), started_at=None, completed_at=None, expires_at=None)


def job(status: Status, *, priority: int = 0, sequence: int = 0, progress: int = 0) -> Job:
    return Job(
        sequence=sequence,
        id="video_1",
        user="ann",
        verb="create",
        model="tiny",
        prompt="a fox",
        size="192x128",
        seconds="1",
        request={},
        source_id=None,
        status=status,
        progress=progress,
        moments=MOMENTS,
        error=None,
        priority=priority,
        cost=10.0,
        lease=None,
        crashes=0,
        generation_id=None,
        files={},
    )


def test_a_line_is_found() -> None:
    found = fit([(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)])
    assert found is not None
    assert (found.fixed_s, found.unit_s) == (pytest.approx(3.0), pytest.approx(2.0))
    assert found.seconds(10) == pytest.approx(23.0)


def test_nothing_is_below_zero() -> None:
    assert fit([]) is None
    assert fit([(2.0, 6.0), (2.0, 8.0)]) == Fit(fixed_s=7.0, unit_s=0.0)
    falling = fit([(1.0, 9.0), (9.0, 1.0)])
    assert falling == Fit(fixed_s=5.0, unit_s=0.0)
    steep = fit([(1.0, 0.1), (2.0, 9.0)])
    assert steep is not None and steep.fixed_s == 0.0 and steep.unit_s > 0


def test_who_waits_behind_others_is_asked_to_be_patient() -> None:
    outlook = Outlook(
        order=((0, 3), (0, 5), (9, 1)), before=(0.0, 10.0, 20.0, 30.0), running=2, fit=Fit(fixed_s=0.0, unit_s=2.0)
    )
    last = job("queued", priority=9, sequence=1)
    assert outlook.place(last) == 2
    assert outlook.seconds(last) == 20 + 20
    assert outlook.poll_ms(last) == 5000
    running = job("in_progress", progress=75)
    assert outlook.place(running) is None
    assert outlook.seconds(running) == 5
    assert outlook.poll_ms(running) == 1000
    assert Outlook().poll_ms(last) == 1000, "nothing is known"


def begun(progress: int, seconds_ago: float, attempt: int = 1) -> Job:
    """A job that runs since then."""
    now = datetime.now(UTC)
    lease = Lease(owner="w", attempt=attempt, until=now)
    started = replace(MOMENTS, started_at=now - timedelta(seconds=seconds_ago))
    return replace(job("in_progress", progress=progress), lease=lease, moments=started)


def test_a_job_that_runs_is_judged_by_its_own_pace() -> None:
    slow = Outlook(fit=Fit(fixed_s=0.0, unit_s=32.7))
    assert slow.seconds(begun(50, 27)) == pytest.approx(27, abs=1), "whatever others took"
    assert slow.seconds(begun(10, 5)) == pytest.approx((45 + 327 * 0.9) / 2, abs=3), "half and half as it begins"
    assert slow.seconds(begun(0, 5)) == 327
    assert slow.seconds(begun(50, 2700, attempt=2)) == 163.5, "the time before it was lost says nothing"
    assert Outlook().seconds(begun(50, 27)) == pytest.approx(27, abs=1)
    assert Outlook().seconds(begun(10, 5)) is None
    assert Outlook(ahead=timedelta(seconds=10)).seconds(begun(50, 20)) == pytest.approx(30, abs=1)


def test_the_pace_is_that_of_the_last_jobs(tmp_path: Path) -> None:
    with Store.open(tmp_path / "hibari.db") as store:
        queue, now = Queue(store), datetime.now(UTC)
        for number, (hours, took) in enumerate([(0, 20), (20, 500), (0.5, 20), (1.5, 500)]):
            done = queue.add(new(), quota=WIDE, seconds=4)
            ended = now - timedelta(hours=hours, seconds=number)
            times = {"started_at": ended - timedelta(seconds=took), "completed_at": ended, "status": "completed"}
            with store.writing() as connection:
                connection.execute(update(tables.videos).where(tables.videos.c.id == done.id).values(times))
        outlook = read_outlook(store)
    assert outlook.fit is not None and outlook.fit.seconds(2.5) == pytest.approx(20)
    assert abs(outlook.ahead.total_seconds()) < 1
