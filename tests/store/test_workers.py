"""Workers say that they are there; who was not heard of for long is not. Under a second, with --slow on Postgres."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import func, select

from hibari.machine import Holding
from hibari.store import Store, tables, workers
from queue_jobs import NOON, Hand

HELD = Holding(device="cpu", models=("mini",), memory_bytes=5 << 30, device_bytes=None)
LATELY = timedelta(seconds=30)


def test_a_worker_is_there_from_its_first_word_to_its_farewell(store: Store) -> None:
    hand = Hand()
    workers.seen(store, "one", HELD, clock=hand)
    hand.move(10)
    both = replace(HELD, models=("mini", "large"), device="cuda:0", device_bytes=7 << 30)
    workers.seen(store, "one", both, clock=hand)
    workers.seen(store, "two", HELD, clock=hand)
    first, second = workers.present(store, LATELY, clock=hand)
    assert (first.owner, first.started_at, first.seen_at, first.holding) == ("one", NOON, hand.now, both)
    assert (second.owner, second.holding) == ("two", HELD)
    workers.gone(store, "one")
    assert [each.owner for each in workers.present(store, LATELY, clock=hand)] == ["two"]


def test_one_that_is_silent_is_not_there_and_is_forgotten_after_a_day(store: Store) -> None:
    hand = Hand()
    workers.seen(store, "one", HELD, clock=hand)
    hand.move(31)
    assert workers.present(store, LATELY, clock=hand) == []
    hand.move(25 * 3600)
    workers.seen(store, "two", HELD, clock=hand)
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(tables.workers)).scalar_one() == 1
