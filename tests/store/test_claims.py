"""A worker takes jobs of the models that it holds first, for a while. Under a second; with --slow on Postgres."""

from hibari.store import Store
from hibari.store.queue import Queue
from hibari.store.queue_rows import SWITCHED_AFTER
from queue_jobs import Hand, add


def test_a_job_of_a_held_model_goes_before_an_older_one(store: Store) -> None:
    hand = Hand()
    queue = Queue(store, clock=hand)
    add(queue, model="other")
    near = add(queue, "ben", model="mini")
    job = queue.claim("w", ["mini", "other"], ["mini"])
    assert job is not None and job.id == near.id


def test_a_job_that_has_waited_long_enough_is_not_passed_over(store: Store) -> None:
    hand = Hand()
    queue = Queue(store, clock=hand)
    old = add(queue, model="other")
    hand.move(SWITCHED_AFTER.total_seconds() + 1)
    add(queue, "ben", model="mini")
    job = queue.claim("w", ["mini", "other"], ["mini"])
    assert job is not None and job.id == old.id


def test_what_is_held_does_not_go_before_priority_and_does_not_widen_what_may_be_claimed(store: Store) -> None:
    queue = Queue(store, clock=Hand())
    add(queue, model="mini")
    urgent = add(queue, model="other", priority=-1)
    job = queue.claim("w", ["mini", "other"], ["mini"])
    assert job is not None and job.id == urgent.id
    assert queue.claim("w", ["other"], ["mini"]) is None
