"""Progress is told at once, and then at the pulse's own pace. About 5 seconds."""

import time
from pathlib import Path

import pytest

from hibari.serve.work.pulse import Pulse
from hibari.store import Store
from hibari.store.queue import Queue
from queue_jobs import add, taken


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(Store.open(tmp_path / "hibari.db"))


def progress(queue: Queue, id: str) -> int:
    job = queue.find(id)
    assert job is not None
    return job.progress


def test_the_first_step_is_told_at_once_and_the_next_not_before_a_tick(queue: Queue) -> None:
    add(queue)
    job = taken(queue)
    pulse = Pulse(queue, job, tick_s=0.5)
    with pulse.beating():
        time.sleep(0.1)
        began = time.monotonic()
        pulse.advance(10)
        while progress(queue, job.id) != 10:
            assert time.monotonic() - began < 0.45, "a tick has gone by"
            time.sleep(0.01)
        told = time.monotonic()
        pulse.advance(20)
        while progress(queue, job.id) != 20:
            time.sleep(0.01)
        assert time.monotonic() - told > 0.3, "many quick steps are no many writes"


def test_what_comes_before_the_first_step_does_not_hold_it_back(queue: Queue) -> None:
    add(queue)
    job = taken(queue)
    pulse = Pulse(queue, job, tick_s=0.5)
    with pulse.beating():
        time.sleep(0.1)
        pulse.advance(2, soon=False)
        time.sleep(0.1)
        assert progress(queue, job.id) == 0, "it is told by the next tick"
        began = time.monotonic()
        pulse.advance(10)
        while progress(queue, job.id) != 10:
            assert time.monotonic() - began < 0.25, "a tick has gone by"
            time.sleep(0.01)


def test_a_job_that_is_deleted_is_lost(queue: Queue) -> None:
    add(queue)
    job = taken(queue)
    pulse = Pulse(queue, job, tick_s=0.1)
    with pulse.beating():
        assert not pulse.lost.wait(0.3)
        queue.remove(job.id)
        assert pulse.lost.wait(5.0)


def test_a_database_that_hangs_loses_the_job_at_the_end_of_its_lease(tmp_path: Path) -> None:
    path = tmp_path / "hibari.db"
    with Store.open(path, timeout_s=30) as store, Store.open(path) as other:
        queue = Queue(store, lease_s=1.0)
        add(queue)
        pulse = Pulse(queue, taken(queue), tick_s=0.1)
        with pulse.beating(), other.writing():
            pulse.advance(10)
            began = time.monotonic()
            while not pulse.is_lost():
                assert time.monotonic() - began < 5.0, "the thread that beats still waits for its answer"
                time.sleep(0.05)
            assert time.monotonic() - began > 0.8
