"""Every number of /metrics, against what the service then does or holds. About 10 seconds."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from api_house import Api, api, fault
from hibari.machine import Holding
from hibari.serve.api.health import HERE
from hibari.serve.api.metrics import LATELY
from hibari.store import tables, workers
from hibari.store.database import database_clock
from hibari.store.queue import Job
from queries import statements


@pytest.fixture
def opened(home: Path, tmp_path: Path) -> Iterator[Api]:
    with api(home, tmp_path / "home", jobs_at_once=50) as one:
        yield one


def numbers(opened: Api) -> dict[str, float]:
    """Each sample by its name and labels, as they stand in the text."""
    text = opened.get("/metrics", "al").text
    return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.M)}


def claimed(opened: Api) -> Job:
    job = opened.service.queue.claim("w")
    assert job is not None
    return job


def complete(opened: Api, job: Job) -> None:
    assert opened.service.queue.complete(job, files={}, generation_id=1, keep_hours=1, latents_hours=1)


def shift(opened: Api, job: Job, **by: timedelta) -> None:
    """Move moments of a row back in time."""
    videos = tables.videos
    with opened.service.store.writing() as connection:
        row = connection.execute(videos.select().where(videos.c.id == job.id)).one()
        values = {name: getattr(row, name) - earlier for name, earlier in by.items()}
        connection.execute(update(videos).where(videos.c.id == job.id).values(values))


def test_depth_by_status(opened: Api) -> None:
    for _ in range(3):
        opened.create()
    complete(opened, claimed(opened))
    claimed(opened)
    found = numbers(opened)
    depth = {status: found[f'hibari_videos{{status="{status}"}}'] for status in ("queued", "in_progress", "completed")}
    assert depth == {"queued": 1, "in_progress": 1, "completed": 1}


def test_how_long_the_oldest_waits(opened: Api) -> None:
    assert numbers(opened)["hibari_queue_wait_seconds"] == 0
    first, _ = opened.create(), opened.create()
    job = opened.service.queue.find(first["id"])
    assert job is not None
    shift(opened, job, created_at=timedelta(seconds=90))
    assert 90 <= numbers(opened)["hibari_queue_wait_seconds"] < 100


def test_how_long_those_waited_that_were_begun(opened: Api) -> None:
    for seconds in (10, 20, 30, 500):
        opened.create()
        shift(opened, claimed(opened), created_at=timedelta(seconds=seconds))
    opened.create()
    shift(opened, claimed(opened), created_at=timedelta(hours=2), started_at=LATELY)  # too long ago to count
    found = numbers(opened)
    assert 30 <= found['hibari_started_wait_seconds{quantile="0.5"}'] < 40
    assert 500 <= found['hibari_started_wait_seconds{quantile="0.95"}'] < 510


def test_seconds_of_video_a_second(opened: Api) -> None:
    for _ in range(3):
        opened.create(seconds="4")
    complete(opened, claimed(opened))
    complete(opened, claimed(opened))
    old = claimed(opened)
    complete(opened, old)
    shift(opened, old, completed_at=LATELY)
    assert numbers(opened)["hibari_video_seconds_per_second"] == pytest.approx(8 / LATELY.total_seconds())


def test_of_an_extension_the_new_seconds_count(opened: Api, tmp_path: Path) -> None:
    job_id = opened.create(seconds="4")["id"]
    source, name = claimed(opened), f"{job_id}/video.mp4"
    (tmp_path / "clip").write_bytes(b"clip")
    opened.service.blobs.put(name, tmp_path / "clip")
    kept = {"keep_hours": 1.0, "latents_hours": 1.0}
    assert opened.service.queue.complete(source, files={"video": name}, generation_id=1, **kept)
    said = {"prompt": "it goes on", "video": {"id": job_id}, "seconds": "2"}
    assert opened.post("/v1/videos/extensions", json=said).json()["seconds"] == "6"
    complete(opened, claimed(opened))
    assert numbers(opened)["hibari_video_seconds_per_second"] == pytest.approx(6 / LATELY.total_seconds())


def test_refusals_of_jobs_are_counted_for_ever(opened: Api) -> None:
    for code, category in (("moderation_blocked", "hate"), ("moderation_blocked", ""), ("out_of_memory", "")):
        video = opened.create()
        assert opened.service.queue.fail(claimed(opened), code, "no", reason=category)
        opened.service.queue.remove(video["id"])
    found = numbers(opened)
    assert found['hibari_refusals_total{reason="hate"}'] == 1
    assert found['hibari_refusals_total{reason="moderation_blocked"}'] == 1
    assert found['hibari_refusals_total{reason="out_of_memory"}'] == 1


def test_refused_requests_by_code(opened: Api) -> None:
    fault(opened.post("/v1/videos", json={}), 400, "missing_required_parameter", "prompt")
    fault(opened.get("/v1/videos", None), 401, "invalid_api_key")
    fault(opened.get("/nowhere"), 404, "unknown_url")
    found = numbers(opened)
    for code in ("missing_required_parameter", "invalid_api_key", "unknown_url"):
        assert found[f'hibari_refused_requests_total{{code="{code}"}}'] == 1
    assert found['hibari_requests_total{operation="create_video",status="400"}'] == 1
    assert found['hibari_request_seconds_bucket{le="+Inf"}'] >= 3


def test_workers_and_their_memory_until_they_are_seen_no_more(opened: Api) -> None:
    store = opened.service.store
    on_gpu = Holding(device="cuda", models=("tiny",), memory_bytes=2 << 30, device_bytes=9 << 30)
    workers.seen(store, "big:1", on_gpu)
    workers.seen(store, "small:2", Holding(device="cpu", models=(), memory_bytes=1 << 30, device_bytes=None))
    long_ago = lambda connection: database_clock(connection) - HERE - timedelta(seconds=1)  # noqa: E731
    workers.seen(store, "gone:3", on_gpu, clock=long_ago)
    found = numbers(opened)
    assert found["hibari_workers"] == 2
    memory = {name: value for name, value in found.items() if name.startswith("hibari_worker_")}
    assert memory == {
        'hibari_worker_memory_bytes{device="cuda",worker="big:1"}': 2 << 30,
        'hibari_worker_memory_bytes{device="cpu",worker="small:2"}': 1 << 30,
        'hibari_worker_device_bytes{device="cuda",worker="big:1"}': 9 << 30,
    }
    assert opened.get("/readyz", None).json() == {"status": "ready", "workers": 2}


def test_the_apis_own_memory(opened: Api) -> None:
    found = numbers(opened)
    # The kernel counts the two apart, and a little late.
    assert 10e6 < found["hibari_api_memory_bytes"] <= 1.02 * found["hibari_api_memory_peak_bytes"]


def test_not_ready_without_the_database_and_alive_all_the_same(opened: Api) -> None:
    with opened.service.store.writing() as connection:
        tables.workers.drop(connection)
    answer = opened.get("/readyz", None)
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"}) and answer.headers["retry-after"]
    assert opened.get("/healthz", None).json() == {"status": "ok"}


def test_strangers_who_ask_whether_it_is_ready_take_one_look_a_second(opened: Api) -> None:
    with statements(opened.service.store.engine) as asked:
        for _ in range(20):
            assert opened.get("/readyz", None).status_code == 200
    assert 0 < asked.count("SELECT") < 10


def test_no_user_and_no_prompt_is_in_the_numbers(opened: Api) -> None:
    opened.create(prompt="an unmistakable octopus")
    text = opened.get("/metrics", "al").text
    assert "hibari_request_seconds_count" in text and "_created" not in text, "when counting began is nobody's question"
    assert "unmistakable" not in text and not re.search(r"\bann\b", text)
