"""What the service costs: retrieves a second beside a bare FastAPI application, its memory, and how soon work begins.

    python benchmarks/service.py [--runs 5] [--seconds 4] [--model M] [--home DIR]

`hibari serve` runs as a person starts it, with one worker. Eight connections ask for one video as fast as they get
answers, first of it and then of a FastAPI application with one route that answers with the same JSON out of memory.
Each server has the first core and the load the second, in turns, so that the ratio is of one machine at one time.
Before that, videos of 9 frames and 4 steps are asked for one by one, of an idle worker whose model is loaded.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import accounts
import httpx
from kills import FRAMES, PROMPT, START_S, STEPS, Plan, Run, free_port

CONNECTIONS = 8
WORK_S, LOOK_S = 120.0, 0.005
BEFORE_STEPS = 5  # progress is above this once the first denoising step is done (serve/work/errand.py)


def bare(port: int, answer: str) -> None:
    """Serve one JSON document, as FastAPI does it out of the box."""
    import uvicorn
    from fastapi import FastAPI, Header

    app, document = FastAPI(), json.loads(answer)

    @app.get("/v1/videos/{video_id}")
    async def retrieve(video_id: str, authorization: str = Header()) -> dict[str, Any]:
        assert video_id and authorization
        return document  # type: ignore[no-any-return]

    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def there(port: int) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the bare application does not come up"
            time.sleep(0.1)
        else:
            return


async def load(port: int, path: str, key: str, seconds: float) -> list[float]:
    """Ask over a few connections for as long as that; the seconds of every answer."""
    asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    took: list[float] = []

    async def ask(until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"content-length: (\d+)", head.lower())
            assert length is not None
            await reader.readexactly(int(length[1]))
            took.append(time.perf_counter() - began)
        writer.close()

    until = time.perf_counter() + seconds
    await asyncio.gather(*(ask(until) for _ in range(CONNECTIONS)))
    return took


def pin(process: int, core: int) -> None:
    """Keep a process, with its threads, on one core."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def resident_mb(process: int) -> float:
    """The memory that a process holds, in MB."""
    kilobytes = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert kilobytes is not None
    return int(kilobytes[1]) * 1024 / 1e6


def begin(client: httpx.Client, model: str) -> tuple[float, float]:
    """One job: milliseconds from asking to its claim, and to the end of its first denoising step."""
    form = {"model": model, "prompt": PROMPT, "num_frames": FRAMES, "num_inference_steps": STEPS}
    began = time.perf_counter()
    answer = client.post("/videos", json=form | {"size": "192x112"})
    answer.raise_for_status()
    video, claimed = answer.json(), 0.0
    while video["progress"] <= BEFORE_STEPS and video["status"] in ("queued", "in_progress"):
        assert time.perf_counter() - began < WORK_S, "no worker begins"
        time.sleep(LOOK_S)
        video = client.get(f"/videos/{video['id']}").json()
        if video["status"] != "queued" and not claimed:
            claimed = 1000 * (time.perf_counter() - began)
    first = 1000 * (time.perf_counter() - began)
    while client.get(f"/videos/{video['id']}").json()["status"] in ("queued", "in_progress"):
        time.sleep(0.1)
    return claimed, first


def measure(run: Run, runs: int, seconds: float) -> tuple[list[list[Any]], dict[str, Any]]:
    """The rows and facts of one service."""
    assert run.process is not None
    api, headers = run.process.pid, {"Authorization": f"Bearer {run.key}"}
    with httpx.Client(base_url=run.address, headers=headers, timeout=60) as client:
        begin(client, run.plan.model)  # the model is loaded with the first
        starts = [begin(client, run.plan.model) for _ in range(runs)]
        video = client.get("/videos").json()["data"][0]
        port, cores = free_port(), os.sched_getaffinity(0)
        command = [sys.executable, __file__, "--bare", str(port), json.dumps(video)]
        with subprocess.Popen(command) as peer:
            try:
                there(port)
                pin(api, min(cores))
                pin(peer.pid, min(cores))
                os.sched_setaffinity(0, {max(cores)})
                path = f"/v1/videos/{video['id']}"
                ours, theirs = [], []
                for _ in range(runs):
                    ours.append(asyncio.run(load(run.plan.port, path, run.key, seconds)))
                    theirs.append(asyncio.run(load(port, path, run.key, seconds)))
            finally:
                os.sched_setaffinity(0, cores)
                peer.kill()
        memory = resident_mb(api)
    rates = [[len(took) / seconds for took in side] for side in (ours, theirs)]
    p99 = [1000 * statistics.quantiles(chain.from_iterable(side), n=100)[98] for side in (ours, theirs)]
    rows = [["hibari", statistics.median(rates[0]), p99[0]], ["bare FastAPI", statistics.median(rates[1]), p99[1]]]
    return rows, {
        "ratio of retrieves": statistics.median(one / other for one, other in zip(*rates, strict=True)),
        "API, MB": memory,
        "create to claim, ms": statistics.median(claimed for claimed, _ in starts),
        "create to first step, ms": statistics.median(first for _, first in starts),
        "create to first step, all, ms": [round(first) for _, first in starts],
        "targets": "ratio 0.6, API 200 MB, first step 300 ms",
    }


def main() -> None:
    """Measure and report."""
    if sys.argv[1:2] == ["--bare"]:
        bare(int(sys.argv[2]), sys.argv[3])
        return
    parser = accounts.parser(__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    given: argparse.Namespace = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder)
        plan = Plan(1, 0.0, given.model, "192x112", 1, 0, home, free_port(), 0)
        run = Run(plan)
        run.start()
        try:
            rows, facts = measure(run, given.runs, given.seconds)
        finally:
            run.stop()
    accounts.report(given.out / "service.json", ["server", "retrieves a second", "p99, ms"], rows, facts)


if __name__ == "__main__":
    main()
