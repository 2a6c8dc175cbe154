"""The queue's rules, one after another, on SQLite and with --slow on Postgres. About 5 seconds."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from hibari.errors import InvalidRequest
from hibari.store import Store, tables
from hibari.store.database import database_clock
from hibari.store.queue import Job, LimitReached, Queue, Quota, new_video_id
from hibari.store.quota import used
from queue_jobs import NOON, WIDE, Hand, add, add_endpoint, new, taken


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def queue(store: Store, hand: Hand) -> Queue:
    return Queue(store, lease_s=15, clock=hand)


def again(queue: Queue, job: Job) -> Job:
    found = queue.find(job.id)
    assert found is not None
    return found


def complete(queue: Queue, job: Job, *, latents_s: float = 0, **files: str) -> bool:
    return queue.complete(job, files=files, generation_id=9, keep_hours=1, latents_hours=latents_s / 3600)


def events(store: Store) -> list[tuple[str, str, str]]:
    """Endpoint, kind and video of what is in the outbox."""
    with store.reading() as connection:
        rows = connection.execute(select(tables.webhook_events).order_by(tables.webhook_events.c.sequence)).all()
    bodies = [json.loads(row.body) for row in rows]
    assert all(row.id == body["id"] for row, body in zip(rows, bodies, strict=True))
    assert all(row.next_at == row.created_at and not row.attempts for row in rows)
    return [(row.endpoint_id, body["type"], body["data"]["id"]) for row, body in zip(rows, bodies, strict=True)]


def test_from_queued_to_completed(queue: Queue, hand: Hand) -> None:
    made = queue.add(new(files={"input": "video_x/input.png"}), quota=WIDE, seconds=4)
    assert made == again(queue, made)
    assert (made.status, made.progress, made.lease, made.error, made.moments.started_at) == (
        "queued",
        0,
        None,
        None,
        None,
    )
    assert (made.user, made.prompt, made.request, made.cost) == ("ann", "a panda", {"seed": 7}, 2.5)
    hand.move(3)
    job = taken(queue)
    assert job == again(queue, made)
    assert job.lease is not None
    assert (job.lease.owner, job.lease.attempt, job.lease.until) == ("w", 1, hand.now + timedelta(seconds=15))
    assert queue.claim("other") is None
    hand.move(4)  # the workers' own clocks are not asked
    assert complete(queue, job, video="video_x/video.mp4")
    done = again(queue, made)
    assert (done.status, done.progress, done.lease, done.generation_id) == ("completed", 100, None, 9)
    assert done.files == {"input": "video_x/input.png", "video": "video_x/video.mp4"}
    assert done.moments.started_at == NOON + timedelta(seconds=3)
    assert done.moments.completed_at == NOON + timedelta(seconds=7)
    assert (done.moments.created_at, done.moments.expires_at) == (NOON, NOON + timedelta(hours=1, seconds=7))


def test_progress_never_goes_back_and_ends_at_99(queue: Queue, hand: Hand) -> None:
    add(queue)
    job = taken(queue)
    for given, seen in [(30, 30), (20, 30), (-5, 30), (400, 99)]:
        hand.move(14)
        assert queue.beat(job, given)
        found = again(queue, job)
        assert found.lease is not None
        assert (found.progress, found.lease.until) == (seen, hand.now + timedelta(seconds=15))


LATE: dict[str, Callable[[Queue, Job], bool]] = {
    "beat": lambda queue, job: queue.beat(job, 50),
    "complete": complete,
    "fail": lambda queue, job: queue.fail(job, "x", "y"),
    "crashed": lambda queue, job: queue.crashed(job, "y"),
    "give_back": lambda queue, job: queue.give_back(job),
}


@pytest.mark.parametrize("call", LATE.values(), ids=LATE)
def test_who_lost_a_job_changes_nothing(queue: Queue, hand: Hand, store: Store, call: Callable[..., bool]) -> None:
    add_endpoint(store, "e", "ann", "video.completed", "video.failed")
    add(queue)
    lost = taken(queue, "slow")
    hand.move(14.9)
    assert queue.claim("quick") is None, "the lease still holds"
    hand.move(0.2)
    job = taken(queue, "slow")  # even under the same name
    assert job.lease is not None
    assert job.lease.attempt == 2
    assert not call(queue, lost)
    assert again(queue, job) == job
    assert complete(queue, job)
    assert not call(queue, job), "what has ended has ended"
    assert again(queue, job).status == "completed"
    assert len(events(store)) == 1


@pytest.mark.parametrize("call", LATE.values(), ids=LATE)
def test_removing_takes_a_running_job_away(queue: Queue, call: Callable[..., bool]) -> None:
    made = add(queue)
    job = taken(queue)
    removed = queue.remove(made.id)
    assert removed == job
    other = add(queue)  # SQLite gives the same sequence again
    assert taken(queue).id == other.id
    assert not call(queue, job)
    assert again(queue, other).status == "in_progress"
    assert queue.find(made.id) is None
    assert queue.remove(made.id) is None


def test_a_lease_that_ran_out_is_still_its_owners_until_another_takes_it(queue: Queue, hand: Hand) -> None:
    add(queue)
    job = taken(queue)
    hand.move(60)
    assert queue.beat(job, 10)
    assert queue.claim("other") is None


def test_a_crash_waits_longer_each_time_and_the_third_fails(queue: Queue, hand: Hand) -> None:
    made = add(queue)
    for crashes, wait in [(1, 2), (2, 4)]:
        assert queue.crashed(taken(queue), "it died")
        found = again(queue, made)
        assert (found.status, found.crashes, found.lease) == ("queued", crashes, None)
        hand.move(wait - 0.1)
        assert queue.claim("w") is None
        hand.move(0.1)
    assert queue.crashed(taken(queue), "it died")
    found = again(queue, made)
    assert (found.status, found.crashes) == ("failed", 3)
    assert found.error is not None
    assert (found.error.code, found.error.message) == ("server_error", "it died")
    assert queue.claim("w") is None


def test_ten_lost_leases_and_no_more(queue: Queue, hand: Hand, store: Store) -> None:
    add_endpoint(store, "e", "ann", "video.failed")
    made, other = add(queue), add(queue, priority=1)
    assert queue.crashed(taken(queue), "crashes are counted apart")
    hand.move(2)
    for attempt in range(2, 12):
        job = taken(queue)
        assert job.lease is not None
        assert (job.id, job.lease.attempt) == (made.id, attempt)
        hand.move(16)
    assert taken(queue).id == other.id, "the next one, in the same call"
    found = again(queue, made)
    assert (found.status, found.lease) == ("failed", None)
    assert found.error is not None
    assert found.error.code == "server_error"
    assert events(store) == [("e", "video.failed", made.id)]


def test_giving_back_does_not_count(queue: Queue) -> None:
    made = add(queue)
    for _ in range(12):
        assert queue.give_back(taken(queue))
        assert (again(queue, made).status, again(queue, made).lease) == ("queued", None)
    job = taken(queue)
    assert job.lease is not None
    assert job.lease.attempt == 1


def test_order_is_priority_then_fair_share_then_age(queue: Queue) -> None:
    for name, user, priority in [("a1", "a", 0), ("a2", "a", 0), ("a3", "a", 0), ("b1", "b", 0), ("b2", "b", 0)]:
        queue.add(new(user, priority=priority, model=name), quota=WIDE, seconds=4)
    queue.add(new("a", priority=1, model="late"), quota=WIDE, seconds=4)
    urgent = queue.add(new("a", priority=-1, model="urgent"), quota=WIDE, seconds=4)
    names = [taken(queue).model for _ in range(7)]
    assert names == ["urgent", "b1", "a1", "b2", "a2", "a3", "late"]
    assert queue.claim("w") is None
    assert urgent.priority == -1


def test_a_worker_takes_what_its_models_can(queue: Queue) -> None:
    add(queue, model="large")
    small = add(queue, model="small")
    assert queue.claim("w", []) is None
    found = queue.claim("w", ["small", "other"])
    assert found is not None
    assert found.id == small.id
    assert queue.claim("w", ["small"]) is None


def test_events_go_to_who_asked_for_them(queue: Queue, store: Store) -> None:
    add_endpoint(store, "both", "ann", "video.completed", "video.failed")
    add_endpoint(store, "one", "ann", "video.completed")
    add_endpoint(store, "other", "bob", "video.completed")
    first, second = add(queue), add(queue)
    assert complete(queue, taken(queue))
    assert queue.fail(taken(queue), "moderation_blocked", "No.")
    assert sorted(events(store)) == [
        ("both", "video.completed", first.id),
        ("both", "video.failed", second.id),
        ("one", "video.completed", first.id),
    ]
    found = again(queue, second)
    assert found.error is not None
    assert (found.error.code, found.error.message) == ("moderation_blocked", "No.")


def test_no_event_tells_of_a_picture(queue: Queue, store: Store) -> None:
    add_endpoint(store, "both", "ann", "video.completed", "video.failed")
    for _ in range(2):
        queue.add(replace(new(), verb="image"), quota=WIDE, seconds=0)
    assert complete(queue, taken(queue))
    assert queue.fail(taken(queue), "moderation_blocked", "No.")
    assert events(store) == []


def quota(**given: int) -> Quota:
    return Quota(**({"queue": 100, "jobs_at_once": 100, "seconds_a_day": 100} | given))


def refused(queue: Queue, given: Quota, user: str = "ann") -> LimitReached:
    with pytest.raises(LimitReached) as caught:
        queue.add(new(user), quota=given, seconds=4)
    return caught.value


def test_the_queue_is_full(queue: Queue) -> None:
    add(queue, "a"), add(queue, "b")
    error = refused(queue, quota(queue=2))
    assert (error.code, error.retry_after_s) == ("queue_full", 30)
    taken(queue)
    queue.add(new(), quota=quota(queue=2), seconds=4)


def test_jobs_at_once(queue: Queue) -> None:
    add(queue, "bob"), add(queue), add(queue)
    job = taken(queue)
    assert job.user == "bob"
    job = taken(queue)
    error = refused(queue, quota(jobs_at_once=2))
    assert (error.code, error.retry_after_s) == ("too_many_jobs", 10)
    assert complete(queue, job)
    queue.add(new(), quota=quota(jobs_at_once=2), seconds=4)


def test_seconds_a_day_are_used_up_also_by_what_was_deleted(queue: Queue, hand: Hand) -> None:
    for _ in range(2):
        queue.remove(queue.add(new(), quota=quota(seconds_a_day=10), seconds=4).id)
    error = refused(queue, quota(seconds_a_day=10))
    assert (error.code, error.retry_after_s) == ("daily_seconds", 12 * 3600)
    queue.add(new(), quota=quota(seconds_a_day=10), seconds=2)
    queue.add(new("bob"), quota=quota(seconds_a_day=10), seconds=4)
    hand.move(12 * 3600)
    queue.add(new(), quota=quota(seconds_a_day=10), seconds=4)


def test_what_came_to_nothing_gives_its_seconds_back_once(queue: Queue, store: Store, hand: Hand) -> None:
    def left(at: datetime = NOON) -> float:
        with store.reading() as connection:
            return used(connection, "ann", at).seconds_today

    ways: list[tuple[str, bool, float]] = [
        ("moderation_blocked", False, 4),
        ("moderation_blocked", True, 0),
        ("out_of_memory", False, 0),
        ("server_error", False, 0),
    ]
    for code, unmade, stays in ways:
        before = left()
        add(queue)
        job = taken(queue)
        assert queue.fail(job, code, "no", unmade=unmade) and not queue.fail(job, code, "no", unmade=unmade)
        assert left() - before == stays, (code, unmade)
    add(queue)
    hand.move(13 * 3600)
    job = taken(queue)
    add(queue)
    assert queue.fail(job, "server_error", "no")
    assert (left(), left(hand.now)) == (4, 4), "off the day that it was booked on"


def test_what_is_refused_leaves_nothing(queue: Queue) -> None:
    refused(queue, quota(seconds_a_day=3))
    assert sum(queue.depth().values()) == 0
    queue.add(new(), quota=quota(seconds_a_day=4), seconds=4)


def test_an_idempotency_key_makes_one_video(queue: Queue) -> None:
    key = ("k", "a" * 64)
    made = queue.add(new(), key=key, quota=quota(jobs_at_once=1), seconds=4)
    assert queue.add(new(), key=key, quota=quota(jobs_at_once=1), seconds=4) == made, "before the limits"
    with pytest.raises(InvalidRequest, match="another request before") as caught:
        queue.add(new(), key=("k", "b" * 64), quota=quota(), seconds=4)
    assert caught.value.option == "Idempotency-Key"
    assert queue.add(new("bob"), key=("k", "b" * 64), quota=quota(), seconds=4).id != made.id, (
        "another user's key is another"
    )
    queue.remove(made.id)
    assert queue.add(new(), key=("k", "b" * 64), quota=quota(), seconds=4).id != made.id, "free again"


def test_pages(queue: Queue) -> None:
    ids = [add(queue).id for _ in range(5)]
    other = add(queue, "bob").id

    def page(after: str | None, order: str = "asc", limit: int = 2, user: str = "ann") -> tuple[list[str], bool]:
        assert order in ("asc", "desc")
        jobs, more = queue.list(user, limit=limit, after=after, order="asc" if order == "asc" else "desc")
        return [job.id for job in jobs], more

    assert page(None) == (ids[:2], True)
    assert page(ids[1]) == (ids[2:4], True)
    assert page(ids[3]) == (ids[4:], False)
    assert page(ids[4]) == ([], False)
    assert page(None, "desc", 5) == (ids[::-1], False)
    assert page(ids[2], "desc") == ([ids[1], ids[0]], False)
    assert page(None, limit=0) == ([], True)
    assert page(None, user="bob") == ([other], False)
    for wrong in (other, new_video_id(), "'; DROP TABLE videos; --"):
        with pytest.raises(InvalidRequest, match="No video of yours") as caught:
            page(wrong)
        assert caught.value.option == "after"


def test_depth(queue: Queue) -> None:
    for user in ("ann", "bob", "ann"):
        add(queue, user)
    taken(queue)
    assert queue.depth() == {"queued": 2, "in_progress": 1, "completed": 0, "failed": 0}


def test_what_is_over(queue: Queue, hand: Hand) -> None:
    done, failed, running = add(queue), add(queue), add(queue)
    assert complete(queue, taken(queue))
    assert queue.fail(taken(queue), "x", "y")
    taken(queue)
    assert queue.take_expired() is None
    hand.move(3600)
    taken_first = queue.take_expired()
    assert taken_first is not None and taken_first.id == done.id
    assert queue.take_expired() is None and queue.find(done.id) is None
    hand.move(23 * 3600)
    taken_next = queue.take_expired()
    assert taken_next is not None and taken_next.id == failed.id, "failed ones are kept for a day"
    assert queue.take_expired() is None
    assert again(queue, running).status == "in_progress"


def test_latents_go_earlier(queue: Queue, hand: Hand) -> None:
    add(queue), add(queue)
    for name, seconds in [("one", 60), ("two", 61)]:
        assert complete(queue, taken(queue), latents_s=seconds, latents=f"{name}/latents", video=f"{name}/video")
    assert not queue.drop_latents()
    hand.move(60)
    assert queue.drop_latents() == ["one/latents"]
    assert not queue.drop_latents()
    files = [job.files for job in queue.list("ann", limit=9, after=None, order="asc")[0]]
    assert files == [{"video": "one/video"}, {"video": "two/video", "latents": "two/latents"}]


def test_the_databases_clock_tells_the_time(store: Store) -> None:
    with store.reading() as connection:
        now = database_clock(connection)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
    assert now.tzinfo == UTC


def test_many_at_once(store: Store) -> None:
    queue, key = Queue(store), ("same", "a" * 64)
    made: list[str] = []
    claims: list[str] = []
    refusals: list[str] = []

    def work(number: int) -> None:
        made.append(queue.add(new("eve"), key=key, quota=WIDE, seconds=4).id)
        for _ in range(6):
            try:
                queue.add(new(), quota=quota(seconds_a_day=40), seconds=4)
            except LimitReached as error:
                refusals.append(error.code)
        while (job := queue.claim(f"w{number}")) is not None:
            claims.append(job.id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1, "one key, one video"
    assert refusals == ["daily_seconds"] * 14, "ten of the 24 fit into the day, however they came"
    assert len(claims) == len(set(claims)) == 11, "each was claimed once"
