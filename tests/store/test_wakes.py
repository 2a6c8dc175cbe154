"""Whoever waits for jobs is woken by one, on SQLite and with --slow on Postgres. About 4 seconds."""

import time
from threading import Event, Timer

import pytest

from hibari.store import Store
from hibari.store.queue import Queue
from hibari.store.wakes import Wakes, ring
from queue_jobs import add

LONG_S, SOON_S = 20.0, 5.0  # waits that must not run out, and what is soon on a busy machine


@pytest.fixture
def waiting(store: Store) -> Wakes:
    wakes = Wakes(store)
    for _ in range(3):  # what was written before, the making of the tables too, is seen by now
        wakes.wait(Event(), 0.05)
    return wakes


def took(wakes: Wakes, stop: Event, timeout_s: float = LONG_S) -> float:
    began = time.monotonic()
    wakes.wait(stop, timeout_s)
    return time.monotonic() - began


def test_a_job_wakes_who_waits(store: Store, waiting: Wakes) -> None:
    queue = Queue(store)
    timer = Timer(0.3, lambda: add(queue))
    timer.start()
    assert 0.2 < took(waiting, Event()) < SOON_S
    assert queue.claim("w") is not None
    timer.join()
    waiting.close()


def test_a_job_that_came_between_two_waits_is_not_missed(store: Store, waiting: Wakes) -> None:
    add(Queue(store))
    assert took(waiting, Event()) < SOON_S
    waiting.close()


def test_nothing_wakes_nobody_and_a_stop_wakes_at_once(waiting: Wakes) -> None:
    assert took(waiting, Event(), 0.4) >= 0.39
    stop = Event()
    timer = Timer(0.1, stop.set)
    timer.start()
    assert took(waiting, stop) < SOON_S
    timer.join()
    waiting.close()


def test_a_job_that_was_not_kept_wakes_nobody(store: Store, waiting: Wakes) -> None:
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        ring(connection)
        raise ZeroDivisionError
    assert took(waiting, Event(), 0.4) >= 0.39
    waiting.close()


def test_a_waiter_without_its_connection_waits_its_time_and_comes_back(store: Store, waiting: Wakes) -> None:
    waiting._driver.close()
    assert took(waiting, Event(), 0.3) >= 0.29
    add(Queue(store))
    assert took(waiting, Event()) < SOON_S
    waiting.close()
