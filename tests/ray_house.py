"""A program for the test of the cluster: two Ray nodes on this machine, of which the one that has a job dies.

    python ray_house.py HOME

Both nodes are this machine's, so what a dead machine takes with it is killed here: all of the node's processes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ray.cluster_utils import Cluster

from hibari.config import Settings
from hibari.provenance.places import ledger_url
from hibari.serve.asked import Asked
from hibari.store import Store
from hibari.store.queue import Job, NewJob, Queue
from queue_jobs import WIDE

PATIENCE_S = 240.0
FAULTY_S = 15.0  # more than it takes to start the driver and a worker


def job(prompt: str) -> NewJob:
    asked = Asked(verb="create", prompt=prompt, model="tiny", size="192x128", seconds=2.0, seed=4, steps=40)
    return NewJob(
        user="ann", verb="create", model="tiny", prompt=prompt, size="192x128", seconds="2", request=asked.to_dict()
    )


def wait(queue: Queue, id: str, until: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while not until(found := queue.find(id)):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def family(pid: int) -> list[int]:
    """A process and all that came of it, the oldest first."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(lines["Pid"])] = int(lines["PPid"])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def main(home: Path) -> None:
    settings = Settings(home=home, model="tiny", user="operator")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    doomed = cluster.add_node(num_cpus=1)
    (home / "work").mkdir(mode=0o700)
    (home / "work" / "file").touch()  # where only folders should be: a fault that no worker foresees
    words = ["cluster", "--workers", "1", "--address", cluster.address, "--home", str(home), "--device", "cpu"]
    driver = subprocess.Popen([sys.executable, "-m", "hibari", *words], env=os.environ | {"HIBARI_MODEL": "tiny"})
    with Store.open(ledger_url(settings)) as store:
        queue = Queue(store)
        id = queue.add(job("an octopus drifts to the left"), quota=WIDE, seconds=2).id
        time.sleep(FAULTY_S)
        assert driver.poll() is None, "a worker's fault is not the cluster's"
        (home / "work" / "file").unlink()
        first = wait(queue, id, lambda now: now.progress > 5)
        cluster.add_node(num_cpus=1)
        gone = [pid for info in doomed.all_processes["raylet"] for pid in family(info.process.pid)]
        cluster.remove_node(doomed, allow_graceful=False)
        for pid in gone:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        died = time.monotonic()
        again = wait(queue, id, lambda now: now.status == "in_progress" and now.lease.owner != first.lease.owner)
        moved_s = time.monotonic() - died
        done = wait(queue, id, lambda now: now.status in ("completed", "failed"))
    driver.terminate()
    code = driver.wait(60)
    cluster.shutdown()
    told = {
        "status": done.status,
        "error": done.error and done.error.message,
        "attempt": again.lease.attempt,
        "moved_s": round(moved_s, 1),
        "code": code,
        "video": done.files.get("video"),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
