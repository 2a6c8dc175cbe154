"""Videos that wait for a reviewer: what is open, what each word changes, what a kill in between leaves. 5 seconds."""

from datetime import timedelta
from typing import Any

import pytest

from hibari.errors import InvalidRequest
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldItem, Reviews, Ruling
from hibari.store import Store
from hibari.store.queue import Job, Queue
from hibari.store.quota import used
from queue_jobs import NOON, Hand, add, add_endpoint, taken

FIRST, SECOND = GenerationId(7), GenerationId(8)
YES = Ruling(decision="allowed", reviewer="rita", note="fine")
NO = Ruling(decision="refused", reviewer="rita", note="a wound")


class House:
    """A queue, its reviews, and a clock that a test moves."""

    def __init__(self, store: Store) -> None:
        self.store, self.hand = store, Hand()
        self.queue, self.reviews = Queue(store, clock=self.hand), Reviews(store)

    def put(self, job: Job, id: GenerationId, file: str | None = None) -> None:
        """The maker's half of a hold: the item, before the worker has said so."""
        request = {"prompt": "a panda", "output": "video.mp4"}
        stage = "prompt" if file is None else "frames"
        values: dict[str, Any] = {"user": job.user, "stage": stage, "request": request, "categories": {}, "reason": "r"}
        self.reviews.hold(HeldItem(id=id, created_at=NOON, file=file, video=job.id, **values))

    def hold(self, job: Job, id: GenerationId, **files: str) -> bool:
        """The worker's half."""
        return self.queue.hold(job, "it waits", generation_id=id.value, files=files, request={"seed": 8}, hours=2)

    def now(self, job: Job) -> Job:
        found = self.queue.find(job.id)
        assert found is not None
        return found

    def told(self) -> list[str]:
        with self.store.reading() as connection:
            return list(connection.exec_driver_sql("select body from webhook_events order by sequence").scalars())


@pytest.fixture
def house(store: Store) -> House:
    add_endpoint(store, "we_1", "ann", "video.completed", "video.failed")
    return House(store)


def held(house: House, id: GenerationId = FIRST, **files: str) -> Job:
    add(house.queue)
    job = taken(house.queue)
    house.put(job, id)
    assert house.hold(job, id, **files)
    return job


def test_what_is_allowed_goes_back_into_the_queue_with_all_that_it_kept(house: House) -> None:
    job = held(house, input="video_1/in-1.png")
    failed = house.now(job)
    assert (failed.status, failed.generation_id, failed.request) == ("failed", FIRST.value, {"seed": 8})
    assert failed.error is not None and failed.error.code == "held_for_review"
    assert failed.moments.expires_at == NOON + timedelta(hours=2)
    assert [item.id for item in house.reviews.waiting()] == [FIRST]
    assert house.reviews.decide(FIRST, YES).state == "allowed"
    again = taken(house.queue)
    assert (again.id, again.generation_id, again.error) == (job.id, FIRST.value, None)
    assert again.files == {"input": "video_1/in-1.png"} and again.lease is not None and again.lease.attempt == 2
    found = house.reviews.allowed(FIRST)
    assert found is not None and found.decision_reason == "fine"
    done = {"generation_id": 7, "keep_hours": 1, "latents_hours": 1}
    assert house.queue.complete(again, files={"video": "v", "held": "h"}, **done)
    assert house.now(job).files == {"input": "video_1/in-1.png", "video": "v"}, "what was held is the video by now"
    assert len(house.told()) == 2
    with pytest.raises(InvalidRequest, match="was allowed by rita already"):
        house.reviews.decide(FIRST, NO)


def test_what_is_refused_stays_failed_and_gives_its_files_up(house: House) -> None:
    job = held(house, input="video_1/in-1.png")
    assert house.queue.drop_refused() == [], "it may still be allowed"
    house.reviews.decide(FIRST, NO)
    error = house.now(job).error
    assert error is not None and error.code == "moderation_blocked" and error.message.endswith(": a wound")
    with house.store.reading() as connection:
        assert used(connection, "ann", NOON).seconds_today == 0, "nothing was made"
    assert house.queue.claim("w") is None and len(house.told()) == 2
    assert house.queue.drop_refused() == [job.id]
    assert house.queue.drop_refused() == [] and house.now(job).files == {}


def test_nobody_decides_before_the_video_waits(house: House) -> None:
    """A worker is killed after its maker had put the request into the review queue."""
    job = add(house.queue)
    lost = taken(house.queue)
    house.put(lost, FIRST)
    assert house.reviews.waiting() == []
    with pytest.raises(InvalidRequest, match="does not wait for it"):
        house.reviews.decide(FIRST, YES)
    house.hand.move(60)
    again = taken(house.queue, "another")
    house.put(again, SECOND)
    assert not house.hold(lost, FIRST), "fenced off"
    assert house.hold(again, SECOND)
    assert [item.id for item in house.reviews.waiting()] == [SECOND], "one video waits once"
    with pytest.raises(InvalidRequest, match="It was made again"):
        house.reviews.decide(FIRST, YES)
    house.reviews.decide(SECOND, YES)
    assert house.now(job).status == "queued"


def test_frames_of_an_allowed_request_wait_under_the_same_id(house: House) -> None:
    job = held(house)
    house.reviews.decide(FIRST, YES)
    again = taken(house.queue)
    house.put(again, FIRST, "video_1/held-2.mp4")
    allowed = house.reviews.allowed(FIRST)
    assert allowed is not None and allowed.file is None, "killed here, the request may be made once more"
    assert house.hold(again, FIRST, held="video_1/held-2.mp4")
    house.reviews.decide(FIRST, YES)
    allowed = house.reviews.allowed(FIRST)
    assert allowed is not None and allowed.file == "video_1/held-2.mp4"
    assert house.now(job).status == "queued"


def test_what_waits_for_nobody_any_more_is_closed(house: House) -> None:
    job = held(house)
    assert house.queue.remove(job.id) is not None
    item = house.reviews.find(FIRST)
    assert item is not None and (item.state, item.reviewer) == ("refused", None)
    assert house.reviews.waiting() == []
    gone = add(house.queue)
    running = taken(house.queue)
    assert house.queue.remove(gone.id) is not None
    house.put(running, SECOND)
    assert not house.hold(running, SECOND) and house.reviews.waiting() == []
    house.queue.drop_refused()
    item = house.reviews.find(SECOND)
    assert item is not None and item.state == "refused"


def test_pages_of_what_videos_wait_for(house: House) -> None:
    for number in range(3):
        held(house, GenerationId(number))
    assert [item.id.value for item in house.reviews.of_videos(limit=2, after=None, order="desc")] == [2, 1]
    middle = house.reviews.find(GenerationId(1))
    for order, left in (("desc", [0]), ("asc", [2])):
        found = house.reviews.of_videos(limit=9, after=middle, order=order)  # type: ignore[arg-type]
        assert [item.id.value for item in found] == left


def test_a_hold_that_nobody_decides_expires(house: House) -> None:
    job = held(house)
    house.hand.move(2 * 3600 + 1)
    taken_away = house.queue.take_expired()
    assert taken_away is not None and taken_away.id == job.id
    item = house.reviews.find(FIRST)
    assert item is not None and item.state == "refused", "its review is closed with it"


def test_one_that_is_allowed_at_the_last_moment_stays(house: House) -> None:
    job = held(house)
    house.hand.move(2 * 3600 + 1)
    house.reviews.decide(FIRST, YES)
    assert house.queue.take_expired() is None and house.now(job).status == "queued"
