"""Pictures in one answer: queued as slots get free, counted, and one refusal for all. About 8 seconds."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from api_house import Api, api, fault
from hibari.access.quota import usage
from hibari.store import Store
from hibari.store.queue import Job, NewJob, Queue
from queue_jobs import add_endpoint

SAID = {"prompt": "a fox turns"}
PATH = "/v1/images/generations"


@pytest.fixture
def house(home: Path, tmp_path: Path) -> Iterator[Api]:
    with api(home, tmp_path / "api", jobs_at_once=2, seconds_a_day=2.0) as opened:
        yield opened


@contextmanager
def drawing(house: Api, fail: int | None = None) -> Iterator[list[Job]]:
    """What a worker does, with the seed in place of a picture; the one of number `fail` fails."""
    stop, drawn = Event(), list[Job]()
    path = house.service.settings.home / "picture"

    def work(store: Store) -> None:
        queue = Queue(store)
        while not stop.wait(0.02):
            job = queue.claim("w")
            if job is None:
                continue
            drawn.append(job)
            if len(drawn) == fail:
                queue.fail(job, "moderation_blocked", "Your request was blocked by our moderation system.")
                continue
            path.write_text(str(job.request["seed"]))
            house.service.blobs.put(f"{job.id}/image.png", path)
            files = {"image": f"{job.id}/image.png"}
            if not queue.complete(job, files=files, generation_id=1, keep_hours=1, latents_hours=1):
                assert fail is not None  # after a failure the rest is dropped, whoever is drawing it
                house.service.blobs.delete(files["image"])

    thread = Thread(target=work, args=(house.service.store,))
    thread.start()
    try:
        yield drawn
    finally:
        stop.set()
        thread.join()


def left(house: Api) -> tuple[int, list[str]]:
    """Jobs and files that are still there."""
    return sum(house.service.queue.depth().values()), [name for name, _ in house.service.blobs.names()]


def today(house: Api) -> float:
    return round(usage(house.service.store, "ann").seconds_today, 6)


def test_more_pictures_than_slots(house: Api) -> None:
    add_endpoint(house.service.store, "e", "ann", "video.completed")
    with drawing(house) as drawn:
        answer = house.post(PATH, json=SAID | {"n": 5, "seed": 7})
    assert answer.status_code == 200, answer.text
    assert [base64.b64decode(one["b64_json"]) for one in answer.json()["data"]] == [b"7", b"8", b"9", b"10", b"11"]
    assert len(drawn) == 5 and left(house) == (0, [])
    assert today(house) == round(5 / 12, 6), "a picture is one frame"
    with house.service.store.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM webhook_events").scalar_one() == 0


def test_one_that_fails_is_one_refusal(house: Api) -> None:
    with drawing(house, fail=3):
        refused = house.post(PATH, json=SAID | {"num_outputs_per_prompt": 4})
    fault(refused, 400, "moderation_blocked")
    assert refused.headers["x-should-retry"] == "false" and left(house) == (0, [])


def test_limits_come_before_the_first(house: Api) -> None:
    other = house.create(seconds=1.5)
    fault(house.post(PATH, json=SAID | {"n": 7}), 429, "daily_seconds")
    assert today(house) == 1.5, "seven of them are over it, so none is booked"
    house.create(seconds=0.25)
    fault(house.post(PATH, json=SAID), 429, "too_many_jobs")
    assert house.service.queue.find(other["id"]) is not None and left(house)[0] == 2


def test_there_is_one_deadline(house: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hibari.serve.api.images.LONGEST_S", 0.3)
    slow = house.post(PATH, json=SAID | {"n": 3})
    fault(slow, 503, "server_error")
    assert slow.headers["x-should-retry"] == "false" and left(house) == (0, [])


def test_who_waits_for_a_slot_takes_no_lock_to_look(house: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hibari.serve.api.images.LONGEST_S", 1.5)
    whole, added = Queue.add, list[str]()

    def add(self: Queue, job: NewJob, **more: Any) -> Job:
        added.append(job.id)
        return whole(self, job, **more)

    monkeypatch.setattr(Queue, "add", add)
    fault(house.post(PATH, json=SAID | {"n": 3}), 503, "server_error")
    assert len(added) == 2, "the third never had room"


def test_fields_that_do_not_go_together(house: Api) -> None:
    fault(house.post(PATH, json=SAID | {"n": 2, "num_outputs_per_prompt": 3}), 400, "invalid_value", "n")
    fault(house.post(PATH, json=SAID | {"n": 0}), 400, "invalid_value", "n")
    fault(house.post(PATH, json=SAID | {"n": 2, "seed": 2**53 - 1}), 400, "invalid_value", "seed")
