"""Processes that take jobs from a queue and are killed in the midst of it; run by `store/test_queue_kills.py`."""

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import event

from hibari.store import Store
from hibari.store.queue import Job, Queue

LEASE_S = 1.0
Program = Callable[[str, str, Connection], None]


def opened(name: str) -> Store:
    """The store of that name, as `Store.name` gives it."""
    return Store.open(name if "://" in name else Path(name), migrate=False, timeout_s=20)


def complete(queue: Queue, job: Job, owner: str) -> bool:
    files = {"video": f"{owner}/video"}
    return queue.complete(job, files=files, generation_id=job.sequence, keep_hours=1, latents_hours=1)


def hold(name: str, owner: str, told: Connection) -> None:
    """Take a job, say so, and complete it when told to; then say how that went."""
    with opened(name) as store:
        queue = Queue(store, lease_s=LEASE_S)
        job = queue.claim(owner)
        told.send(job and job.id)
        told.recv()
        assert job is not None
        told.send(complete(queue, job, owner))


def stop_at_commit(name: str, owner: str, told: Connection) -> None:
    """Take a job and complete it, but never get past the point where the change would be kept."""
    with opened(name) as store:
        queue = Queue(store, lease_s=LEASE_S)
        job = queue.claim(owner)
        assert job is not None

        def stop(_: object) -> None:
            told.send(job.id)
            time.sleep(3600)

        event.listen(store.engine, "commit", stop)
        complete(queue, job, owner)


def work(name: str, owner: str, told: Connection) -> None:
    """Take jobs and complete them, a few beats each, until none is unfinished and a word says that none will come."""
    with opened(name) as store:
        queue = Queue(store, lease_s=LEASE_S)
        while True:
            job = queue.claim(owner)
            if job is not None:
                told.send(job.id)
                if all(_step(queue, job, progress) for progress in (30, 60, 90)):
                    complete(queue, job, owner)
                continue
            depth = queue.depth()
            if told.poll() and not depth["queued"] + depth["in_progress"]:
                return
            time.sleep(0.05)


def _step(queue: Queue, job: Job, progress: int) -> bool:
    time.sleep(0.02)
    return queue.beat(job, progress)
