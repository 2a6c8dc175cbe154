"""Schemathesis asks the served API what its own OpenAPI document allows, and does not. 35 seconds; --slow 5 minutes.

It runs as an admin, over the command line as its users do, in a process of its own. A thread stands for the worker, so
that nothing waits for ever and there are finished and failed videos to go on from.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hibari.store.queue_rows import Job
from served_api import ServedApi, served

# From 3.1 on every method of the client's says that the API which it was made for has gone. This one has not.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

LONGEST_S = 20  # for one request: nothing hangs
SEED = "20260924"


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    bounds = {"jobs_at_once": 100_000, "queue_limit": 100_000, "seconds_a_day": 1e9, "requests_a_minute": 1_000_000}
    with served(home, tmp_path_factory.mktemp("served"), **bounds) as opened:
        over = threading.Event()
        worker = threading.Thread(target=work, args=(opened, over))
        worker.start()
        try:
            yield opened
        finally:
            over.set()
            worker.join(60)
            assert not worker.is_alive()


def work(house: ServedApi, over: threading.Event) -> None:
    """Finish every second job at once with a file of some bytes, and refuse the others."""
    queue, done = house.service.queue, 0
    while not over.wait(0.02):
        while (job := queue.claim("w")) is not None:
            done += 1
            if done % 2:
                queue.fail(job, "moderation_blocked", "Your request was blocked by our moderation system.")
            else:
                finish(house, job)


def finish(house: ServedApi, job: Job) -> None:
    variant = "image" if job.verb == "image" else "video"
    name = f"{job.id}/{variant}.bin"
    with house.service.uploads.private_file() as path:
        path.write_bytes(bytes(1000))
        house.service.blobs.put(name, path)
    house.service.queue.complete(job, files={variant: name}, generation_id=5, keep_hours=1, latents_hours=1)


def fuzz(house: ServedApi, folder: Path, *ways: str) -> str:
    """What a run says; it has to find no 5xx, no answer that takes too long, and no document that it cannot read."""
    with house.client("root") as client:
        ids = [client.videos.create(prompt="a fox").id for _ in range(3)]
    (folder / "schemathesis.toml").write_text(f'[parameters]\n"path.video_id" = {json.dumps([*ids, "video_x"])}\n')
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{house.url}/openapi.json",
        "--header", f"Authorization: Bearer {house.keys['root']}", "--checks", "not_a_server_error",
        "--request-timeout", str(LONGEST_S), "--seed", SEED, "--continue-on-failure", "--no-color", *ways,
    ]  # fmt: skip
    own = os.environ | {"PYTHONWARNINGS": "ignore", "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis")}
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
    assert httpx.get(f"{house.url}/readyz").status_code == 200
    return done.stdout


def test_no_request_is_a_fault_of_ours(house: ServedApi, tmp_path: Path) -> None:
    said = fuzz(house, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "8", "--generation-deterministic")
    assert "Fuzzing" in said
    made = house.service.queue.list("root", limit=100, after=None, order="desc")[0]
    assert len(made) > 3, "it got deep: beside the three that it was given, it made some"


@pytest.mark.slow
def test_nor_one_of_many(house: ServedApi, tmp_path: Path) -> None:
    fuzz(house, tmp_path, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "20", "--max-time", "300")
