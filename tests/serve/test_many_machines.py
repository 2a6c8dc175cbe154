"""The whole service on Postgres and S3: an API and workers that share nothing else, and one of them dies. A minute.

The "machines" are data folders of their own. Postgres is Debian's, S3 is moto's over HTTP.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from moto.server import ThreadedMotoServer

from databases import new_database, postgres
from hibari.media.decode import probe
from hibari.provenance.places import CREDENTIALS, KEYS
from hibari.store import Store
from hibari.store.queue import Job, Queue
from houses import own_home

__all__ = ["postgres"]
pytestmark = pytest.mark.slow
PATIENCE_S = 240.0
SHORT = {"seconds": "0.5", "num_inference_steps": 4}
LONG = {"seconds": "4", "num_inference_steps": 150}
PROMPT = "an octopus drifts over the ocean"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What every machine shares: the environment, and the folder that their homes are in."""

    folder: Path
    environment: dict[str, str]

    def home(self, name: str) -> Path:
        return self.folder / name

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """`hibari ...` on a machine, with its log in a file."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "hibari", *words, "--home", str(self.home(name))],
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def bring_secrets(self, giver: str, taker: str) -> None:
        """As docs/service.md says how a machine joins."""
        for each in (KEYS, CREDENTIALS):
            shutil.copytree(self.home(giver) / each, self.home(taker) / each)


@dataclass(kw_only=True)
class Running:
    """The service: its client, its queue as the database has it, and the workers by their machine."""

    site: Site
    client: httpx.Client
    queue: Queue
    workers: dict[str, subprocess.Popen[bytes]]

    def create(self, **fields: Any) -> str:
        answer = self.client.post("/videos", json={"prompt": PROMPT, "model": "tiny", "size": "192x128"} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def wait(self, id: str, until: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + PATIENCE_S
        while not until(found := self.now(id)):
            assert time.monotonic() < deadline, (found, {name: self.site.log(name)[-1500:] for name in self.workers})
            time.sleep(0.1)
        return found

    def now(self, id: str) -> Job:
        found = self.queue.find(id)
        assert found is not None
        return found

    def done(self, id: str) -> Job:
        job = self.wait(id, lambda now: now.status in ("completed", "failed"))
        assert job.status == "completed", job.error
        return job

    def download(self, id: str) -> Path:
        path = self.site.folder / f"{id}.mp4"
        path.write_bytes(self.client.get(f"/videos/{id}/content").raise_for_status().content)
        return path


@pytest.fixture(scope="module")
def site(home: Path, tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    for name in ("api", "one", "two", "stranger"):
        own_home(home, folder / name)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    httpx.put(f"{address}/hibari").raise_for_status()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HIBARI_", "AWS_"))}
    shared = {
        "HIBARI_DATABASE": new_database(postgres),
        "HIBARI_FILES": "s3://hibari/files",
        "HIBARI_MODEL": "tiny",
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    yield Site(folder=folder, environment=own | shared)
    server.stop()


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has come to its end with the block."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def running(site: Site) -> Iterator[Running]:
    with ExitStack() as stack:
        api = stack.enter_context(ended(site.start("api", "serve", "--port", "0", "--workers", "0")))
        deadline = time.monotonic() + PATIENCE_S
        while "serves at " not in site.log("api"):
            assert api.poll() is None and time.monotonic() < deadline, site.log("api")
            time.sleep(0.1)
        told = site.log("api")
        workers = {}
        for name in ("one", "two"):
            site.bring_secrets("api", name)
            workers[name] = stack.enter_context(ended(site.start(name, "work", "--device", "cpu")))
        headers = {"Authorization": "Bearer " + (site.home("api") / "admin.key").read_text().strip()}
        address = told.partition("serves at ")[2].split()[0]
        client = stack.enter_context(httpx.Client(base_url=address, headers=headers, timeout=60))
        store = stack.enter_context(Store.open(site.environment["HIBARI_DATABASE"]))
        yield Running(site=site, client=client, queue=Queue(store), workers=workers)


def test_a_machine_without_the_houses_secrets_is_told_and_makes_nothing(running: Running) -> None:
    process = running.site.start("stranger", "work", "--device", "cpu")
    assert process.wait(PATIENCE_S) == 2
    said = running.site.log("stranger")
    assert "certificate that is not known here" in said and "Copy the folder credentials" in said
    assert not (running.site.home("stranger") / CREDENTIALS).exists()
    assert not list((running.site.home("stranger") / KEYS).glob("*.key"))


def test_jobs_outlive_a_worker_and_are_known_on_every_machine(running: Running) -> None:
    first = running.done(running.create(**SHORT))
    assert {"video", "thumbnail", "spritesheet", "latents"} <= first.files.keys()
    ids = [first.id, *(running.create(**SHORT) for _ in range(2))]
    remix = running.client.post(f"/videos/{first.id}/remix", json={"prompt": "a fox drifts over the ocean"})
    assert remix.status_code == 200 and remix.json()["remixed_from_video_id"] == first.id
    ids.append(remix.json()["id"])
    for id in ids:
        running.done(id)

    lost = running.create(**LONG)
    held = running.wait(lost, lambda now: now.progress > 5)
    assert held.lease is not None
    pid = int(held.lease.owner.split(":")[1])
    [(name, victim)] = [(name, one) for name, one in running.workers.items() if one.pid == pid]
    victim.send_signal(signal.SIGKILL)
    victim.wait(60)
    moved = running.wait(lost, lambda now: now.lease is not None and now.lease.owner != held.lease.owner)
    assert moved.lease is not None
    [(other, _)] = [(each, one) for each, one in running.workers.items() if each != name]
    assert int(moved.lease.owner.split(":")[1]) == running.workers[other].pid and moved.lease.attempt == 2
    ids.append(running.done(lost).id)

    files = [running.download(id) for id in ids]
    for path, seconds in zip(files, (0.5, 0.5, 0.5, 0.5, 4), strict=True):
        info = probe(path)
        assert (info.width, info.height, info.frames) == (192, 128, round(seconds * 12))
    for machine in ("api", name, other):
        words = [sys.executable, "-m", "hibari", "verify", *map(str, files), "--json"]
        asked = subprocess.run(
            [*words, "--home", str(running.site.home(machine))],
            capture_output=True,
            text=True,
            check=False,
            env=running.site.environment,
        )
        answers = [json.loads(line) for line in asked.stdout.splitlines()]
        assert asked.returncode == 0 and len(answers) == len(files), (machine, asked.stdout, asked.stderr)
        assert all(one["made_here"] and one["intact"] for one in answers)


def test_every_line_of_every_log_is_json_without_the_prompt(running: Running) -> None:
    for name in ("api", *running.workers):
        lines = [line for line in running.site.log(name).splitlines() if not line.startswith("hibari: ")]
        assert lines and all("process" in json.loads(line) for line in lines)
        assert PROMPT not in running.site.log(name)
