"""Short jobs while workers and the API are killed: none lost, none done twice, none stuck, the files whole.

    python benchmarks/kills.py [--jobs 200] [--every 5] [--model M] [--workers 2] [--api-kills 2] [--home DIR]

`hibari serve` runs as a person starts it, in a data folder of its own unless one is named. Clients ask for videos of 9
frames and 4 steps over HTTP, each under an Idempotency-Key, so that a request whose answer was lost is asked again and
makes no second job. Every few seconds one worker, chosen at random, gets `kill -9`, and at equal shares of the jobs
done so does the API process, which is then started again as a service manager would, on the same port. At the end
the database is read: each job completed once, with a generation of its own, and its files are fetched and decoded. How
often each was completed is counted in the outbox, where every completion writes an event in its own transaction, for an
endpoint that nobody answers at.

The ledger may hold more generations than there are jobs: a worker that was killed after its file was recorded and
before it was delivered leaves one that nobody can fetch. They are counted apart.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import httpx
from sqlalchemy import func, insert, select

from hibari.config import Settings
from hibari.media.decode import probe
from hibari.provenance.places import ledger_url
from hibari.store import Store, tables

PROMPT = "an octopus drifts to the right over the ocean at sunset"
START_S, STUCK_S, LOOK_S = 180.0, 600.0, 0.5
RETRIED_S = 60.0
FRAMES, STEPS = 9, 4


@dataclass
class Plan:
    """What is asked of the run."""

    jobs: int
    every_s: float
    model: str
    size: str
    workers: int
    api_kills: int
    home: Path
    port: int
    seed: int


@dataclass
class Run:
    """A service under fire."""

    plan: Plan
    process: subprocess.Popen[str] | None = None
    key: str = ""
    worker_kills: int = 0
    api_kills: int = 0
    restarts_s: list[float] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.plan.port}/v1"

    def start(self) -> None:
        """`hibari serve`, until it answers."""
        plan, began = self.plan, time.monotonic()
        ways = ["--port", str(plan.port), "--workers", str(plan.workers), "--home", str(plan.home)]
        limits = {"HIBARI_SECONDS_A_DAY": "1000000", "HIBARI_JOBS_AT_ONCE": str(plan.jobs), "HIBARI_MODEL": plan.model}
        limits["HIBARI_REQUESTS_A_MINUTE"] = "1000000"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hibari", "serve", *ways], stderr=subprocess.PIPE, text=True, env=os.environ | limits
        )
        said = self.process.stderr
        assert said is not None
        while "serves at" not in (line := said.readline()):
            assert line and time.monotonic() - began < START_S, "the service does not come up"
        self.key = (plan.home / "admin.key").read_text(encoding="ascii").strip()
        self.restarts_s.append(time.monotonic() - began)
        log = (plan.home / "kills.log").open("a", buffering=1)
        Thread(target=lambda: (log.writelines(said), log.close()), daemon=True).start()

    def kill_a_worker(self) -> None:
        """`kill -9` for one of the workers that are there."""
        assert self.process is not None
        workers = children(self.process.pid, "hibari.serve.work.worker")
        if workers:
            with contextlib.suppress(ProcessLookupError):  # it died by itself just now
                os.kill(random.choice(workers), signal.SIGKILL)
                self.worker_kills += 1

    def kill_the_api(self) -> None:
        """`kill -9` for the process that serves, and a new one."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.api_kills += 1
        self.start()

    def stop(self) -> int:
        """A polite end; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def ask(self, number: int) -> str:
        """Ask for one video, again and again under one key until there is an answer; its id."""
        body = {
            "prompt": PROMPT,
            "model": self.plan.model,
            "size": self.plan.size,
            "num_frames": FRAMES,
            "num_inference_steps": STEPS,
            "seed": number,
        }
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": f"kills-{number}"}
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.post(f"{self.address}/videos", json=body, headers=headers, timeout=RETRIED_S)
                if answer.status_code == 200:
                    return str(answer.json()["id"])
                assert answer.status_code >= 500 or answer.status_code == 429, answer.text
            time.sleep(0.2)
        raise TimeoutError(f"job {number} was never taken")

    def file_of(self, id: str, variant: str, path: Path) -> Path | None:
        """One of a video's files; None where it is not there."""
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"{self.address}/videos/{id}/content"
        answer = httpx.get(url, params={"variant": variant}, headers=headers, timeout=RETRIED_S)
        if answer.status_code != 200:
            return None
        path.write_bytes(answer.content)
        return path


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def children(parent: int, module: str) -> list[int]:
    """The process numbers of a process's children that run a module."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            is_child = f"\nPPid:\t{parent}\n" in status.read_text()
            if is_child and module.encode() in status.with_name("cmdline").read_bytes():
                found.append(int(status.parent.name))
    return found


def counted(store: Store) -> Counter[str]:
    """How many jobs are in each state."""
    status = tables.videos.c.status
    with store.reading() as connection:
        return Counter({row[0]: row[1] for row in connection.execute(select(status, func.count()).group_by(status))})


def listen(store: Store) -> None:
    """Have every completion of the admin's jobs leave an event, which stays in the outbox since it cannot be sent."""
    endpoint = {"id": "we_kills", "user_name": "admin", "name": "kills", "url": "https://127.0.0.1:9/"}
    more = {"event_types": ["video.completed"], "secret": "whsec_kills", "created_at": datetime.now(UTC)}
    with store.writing() as connection:
        connection.execute(insert(tables.webhook_endpoints).values(endpoint | more))


def completions(store: Store) -> Counter[str]:
    """How often each job was completed."""
    with store.reading() as connection:
        return Counter(
            json.loads(body)["data"]["id"] for body in connection.scalars(select(tables.webhook_events.c.body))
        )


def under_fire(run: Run, store: Store, ids: list[str]) -> None:
    """Kill, until every job has come to an end; raises TimeoutError where none ends for ten minutes."""
    plan, done, moved_at = run.plan, 0, time.monotonic()
    next_kill = time.monotonic() + plan.every_s
    while done < len(ids):
        time.sleep(LOOK_S)
        now = time.monotonic()
        if now >= next_kill:
            run.kill_a_worker()
            next_kill += plan.every_s
        states = counted(store)
        if (ended := states["completed"] + states["failed"]) > done:
            done, moved_at = ended, now
            print(f"{done} of {len(ids)}, {run.worker_kills} workers killed", file=sys.stderr)
        if now - moved_at > STUCK_S:
            raise TimeoutError(f"nothing ended for {STUCK_S:g} s: {dict(states)}")
        if run.api_kills < plan.api_kills and done >= len(ids) * (run.api_kills + 1) // (plan.api_kills + 1):
            run.kill_the_api()
            next_kill = time.monotonic() + plan.every_s


def findings(run: Run, store: Store, ids: list[str]) -> Iterator[tuple[str, object]]:
    """What the record and the files say at the end."""
    videos, generations = tables.videos, tables.generations
    with store.reading() as connection:
        rows = connection.execute(select(videos)).all()
        recorded = connection.execute(select(func.count()).select_from(generations)).scalar_one()
        clips = connection.execute(
            select(func.count()).select_from(generations).where(generations.c.mime == "video/mp4")
        ).scalar_one()
    states, made = Counter(row.status for row in rows), [row.generation_id for row in rows if row.generation_id]
    yield "jobs asked for", len(ids)
    yield "jobs in the record", len(rows)
    yield "completed", states["completed"]
    yield "failed", states["failed"]
    yield "lost", len(set(ids) - {row.id for row in rows})
    yield "stuck", states["queued"] + states["in_progress"]
    times = completions(store)
    yield "completions", times.total()
    yield "done twice", sum(count - 1 for count in times.values())
    yield "jobs or generations twice", len(made) - len(set(made)) + len(rows) - len(set(ids))
    yield "attempts", sum(row.attempt for row in rows)
    yield "attempts of the worst", max(row.attempt for row in rows)
    yield "reasons of failures", dict(Counter(row.error_message for row in rows if row.status == "failed"))
    yield "generations recorded", recorded
    yield "clips recorded that nobody got", clips - len(made)
    whole = 0
    with tempfile.TemporaryDirectory() as scratch:
        for id in ids:
            file = run.file_of(id, "video", Path(scratch, "a.mp4"))
            stills = [run.file_of(id, kind, Path(scratch, kind)) for kind in ("thumbnail", "spritesheet")]
            whole += file is not None and all(stills) and probe(file).frames == FRAMES
    yield "files whole", whole


def main() -> None:
    plan = arguments()
    random.seed(plan.seed)
    run = Run(plan)
    run.start()
    try:
        with Store.open(ledger_url(Settings(home=plan.home))) as store:
            listen(store)
            began = time.monotonic()
            with ThreadPoolExecutor(4) as clients:
                ids = list(clients.map(run.ask, range(plan.jobs)))
            under_fire(run, store, ids)
            spent = time.monotonic() - began
            facts = dict(findings(run, store, ids))
    finally:
        code = run.stop()
    facts |= {
        "workers killed": run.worker_kills,
        "API killed": run.api_kills,
        "seconds": round(spent, 1),
        "slowest start of the API, s": round(max(run.restarts_s), 1),
        "exit code at the end": code,
    }
    print("\n".join(f"{name:32} {value}" for name, value in facts.items()))
    wrong = any(facts[name] for name in ("lost", "stuck", "failed", "done twice", "jobs or generations twice"))
    whole = facts["files whole"] == facts["completions"] == len(ids)
    sys.exit(1 if wrong or not whole else 0)


def arguments() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills of a worker")
    parser.add_argument("--model", default="hibari-mini")
    parser.add_argument("--size", default="192x128", help="delivered size")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--api-kills", type=int, default=2)
    parser.add_argument("--home", type=Path, help="data folder; a new temporary one by default")
    parser.add_argument("--seed", type=int, default=1, help="of the choice whom to kill")
    given = parser.parse_args()
    home = given.home or Path(tempfile.mkdtemp(prefix="hibari-kills-"))
    return Plan(
        jobs=given.jobs,
        every_s=given.every,
        model=given.model,
        size=given.size,
        workers=given.workers,
        api_kills=given.api_kills,
        home=home,
        port=free_port(),
        seed=given.seed,
    )


if __name__ == "__main__":
    main()
