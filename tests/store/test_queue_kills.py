"""Workers that are killed with -9 or stopped: nothing is lost, nothing is done twice. About 8 seconds."""

import itertools
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

import pytest
from sqlalchemy import select

from hibari.store import Store, tables
from hibari.store.queue import Job, Queue
from queue_jobs import add, add_endpoint
from queue_worker import LEASE_S, Program, complete, hold, stop_at_commit, work

WAIT_S = 60.0  # for what takes a second on an idle machine


class Workers:
    """Processes with a pipe to each; what is left of them goes with the test."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._context = multiprocessing.get_context("forkserver")  # a start takes milliseconds, not a second
        self._context.set_forkserver_preload(["hibari.store.queue", "sqlalchemy.dialects.sqlite"])
        self._running: list[ForkServerProcess] = []

    def start(self, program: Program, owner: str) -> tuple[ForkServerProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=program, args=(self._store.name, owner, theirs))
        process.start()
        theirs.close()
        self._running.append(process)
        return process, ours

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            process.join()


@pytest.fixture
def workers(store: Store) -> Iterator[Workers]:
    workers = Workers(store)
    yield workers
    workers.stop()


@pytest.fixture
def queue(store: Store) -> Queue:
    add_endpoint(store, "e", "ann", "video.completed", "video.failed")
    return Queue(store, lease_s=LEASE_S)


def heard(told: Connection) -> str | bool | None:
    assert told.poll(WAIT_S), "the worker says nothing"
    answer: str | bool | None = told.recv()
    return answer


def claimed_later(queue: Queue, owner: str) -> Job:
    deadline = time.monotonic() + WAIT_S
    while (job := queue.claim(owner)) is None:
        assert time.monotonic() < deadline, "nobody gets the job"
        time.sleep(0.05)
    return job


def endings(store: Store) -> Counter[str]:
    """How many events of an end each video has: one, if it ended once."""
    with store.reading() as connection:
        bodies = connection.execute(select(tables.webhook_events.c.body)).scalars().all()
    return Counter(body[body.index("video_") : body.index("video_") + 30] for body in bodies)


def test_a_killed_workers_job_goes_to_the_next(queue: Queue, store: Store, workers: Workers) -> None:
    made = add(queue)
    process, told = workers.start(hold, "first")
    assert heard(told) == made.id
    process.kill()
    process.join()
    left = queue.find(made.id)
    assert left is not None and left.lease is not None
    assert (left.status, left.lease.owner) == ("in_progress", "first")
    job = claimed_later(queue, "second")
    assert job.lease is not None and job.lease.attempt == 2
    assert job.moments.started_at == left.moments.started_at
    assert job.lease.until >= left.lease.until, "not before the lease ran out"
    assert complete(queue, job, "second")
    assert endings(store) == {made.id: 1}


def test_killed_at_the_commit_nothing_was_done(queue: Queue, store: Store, workers: Workers) -> None:
    made = add(queue)
    process, told = workers.start(stop_at_commit, "first")
    assert heard(told) == made.id
    process.kill()
    process.join()
    left = queue.find(made.id)
    assert left is not None and (left.status, left.files) == ("in_progress", {})
    assert not endings(store)
    assert complete(queue, claimed_later(queue, "second"), "second")
    assert endings(store) == {made.id: 1}


def test_a_stopped_worker_that_comes_back_is_too_late(queue: Queue, store: Store, workers: Workers) -> None:
    made = add(queue)
    process, told = workers.start(hold, "first")
    assert heard(told) == made.id
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    job = claimed_later(queue, "second")
    told.send("go on")
    os.kill(process.pid, signal.SIGCONT)
    assert heard(told) is False
    assert complete(queue, job, "second")
    done = queue.find(made.id)
    assert done is not None and done.files == {"video": "second/video"}
    assert endings(store) == {made.id: 1}


def test_a_storm(queue: Queue, store: Store, workers: Workers) -> None:
    made, dice, names = [], random.Random(7), (f"w{number}" for number in itertools.count())
    crew = {told: process for process, told in (workers.start(work, next(names)) for _ in range(3))}
    for _ in range(8):
        made += [add(queue).id for _ in range(4)]
        ready = wait(crew, WAIT_S)
        assert ready, "nobody takes a job"
        told = dice.choice(ready)
        assert isinstance(told, Connection)
        while told.poll():
            told.recv()
        time.sleep(dice.uniform(0, 0.08))  # somewhere in a job, which takes about that long
        crew[told].kill()
        del crew[told]
        process, told = workers.start(work, next(names))
        crew[told] = process
    for told, process in crew.items():
        told.send("no more will come")
        process.join(WAIT_S)
        assert process.exitcode == 0
    jobs = queue.list("ann", limit=100, after=None, order="asc")[0]
    assert [job.id for job in jobs] == made, "none is lost"
    assert {job.status for job in jobs} == {"completed"}, "none is stuck"
    assert endings(store) == dict.fromkeys(made, 1), "none is done twice"
    with store.reading() as connection:
        attempts = connection.execute(select(tables.videos.c.attempt)).scalars().all()
    assert max(attempts) > 1, "some were killed in the midst of it"
