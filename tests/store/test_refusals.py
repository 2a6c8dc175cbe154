"""Refusals are counted with what they end, by reason and day. Under a second; with --slow on Postgres too."""

from datetime import timedelta

from hibari.store import Store, refusals
from hibari.store.queue import MAX_CRASHES, Queue
from queue_jobs import NOON, Hand, add, taken


def totals(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        return refusals.totals(connection)


def test_days_are_counted_apart_and_summed(store: Store) -> None:
    with store.writing() as connection:
        for at in (NOON, NOON, NOON + timedelta(days=1)):
            refusals.count(connection, "moderation_blocked", at)
        refusals.count(connection, "invalid_value", NOON)
    assert totals(store) == {"invalid_value": 1, "moderation_blocked": 3}


def test_a_job_that_fails_counts_once_and_one_that_was_lost_not_at_all(store: Store) -> None:
    hand = Hand()
    queue = Queue(store, clock=hand)
    add(queue)
    job = taken(queue)
    assert queue.fail(job, "moderation_blocked", "no") and not queue.fail(job, "moderation_blocked", "no")
    assert totals(store) == {"moderation_blocked": 1}
    add(queue)
    for _ in range(MAX_CRASHES):
        hand.move(60)
        assert queue.crashed(taken(queue), "it died")
    assert totals(store) == {"moderation_blocked": 1, "server_error": 1}
