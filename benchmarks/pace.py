"""Seconds of video for a second of computing, end to end: of the full and the fast version, and where the rest goes.

    python benchmarks/pace.py [--seconds 3] [--runs 3] [--model NAME_OR_FOLDER] [--home DIR]

Each version makes the same clip through the whole door, from the shell (a new process each time) and warm (one process,
one clip made before). The best run counts. A version's row has the seconds on the wall and of processor time, the pace
(1 is as fast as it plays), and the seconds of each stage; "start" is what no stage has: Python, imports and opening the
door, of which "torch" is the import of torch alone. On a machine that others use too, the processor's time says more.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import accounts

from hibari import catalog
from hibari.config import Settings
from hibari.produce import Hibari
from hibari.request import GenerationRequest

PROMPT = "an octopus drifts to the right over the ocean at sunset"
SEED = 1
STAGES = ("screen", "load", "denoise", "decode", "mark", "encode", "sign", "record")


def child(command: list[str]) -> tuple[str, float, float]:
    """What a process prints, its seconds on the wall, and those of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def from_shell(given: Any, version: str, target: Path) -> dict[str, Any]:
    """One whole process of `hibari generate`."""
    command = ["-m", "hibari", "generate", PROMPT, "--seconds", str(given.seconds), "--seed", str(SEED), "--json"]
    command += [f"--{version}", "--model", given.model, "-o", str(target)]
    command += ["--home", str(given.home)] if given.home else []
    printed, wall, work = child(command)
    return {"wall": wall, "work": work, "stages": json.loads(printed)["seconds_spent"]}


def warm(maker: Hibari, given: Any, version: str, target: Path) -> dict[str, Any]:
    """One clip by a process that has made one before."""
    request = GenerationRequest(prompt=PROMPT, seconds=given.seconds, seed=SEED, fast=version == "fast")
    start, work = time.perf_counter(), time.process_time()
    record = maker.generate(request, output=target)
    return {
        "wall": time.perf_counter() - start,
        "work": time.process_time() - work,
        "stages": dict(record.seconds),
    }


def row_of(name: str, runs: list[dict[str, Any]], seconds: float) -> list[Any]:
    """The best of some runs, by the wall; the processor's time is the least of all."""
    best = min(runs, key=lambda run: run["wall"])
    stages = [best["stages"].get(stage, 0.0) for stage in STAGES]
    work = min(run["work"] for run in runs)
    return [name, best["wall"], work, seconds / best["wall"], best["wall"] - sum(stages), *stages]


def main() -> None:
    """Run, and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    model = catalog.find(given.model, Settings.load(home=given.home))
    versions = ("no-fast", "fast") if model.card.fast is not None else ("no-fast",)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch_runs = [child(["-c", "import torch"])[1:] for _ in range(given.runs)]
        for version in versions:
            runs = [from_shell(given, version, folder / f"{version}{number}.mp4") for number in range(given.runs)]
            rows.append(row_of(f"{TITLES[version]}, from the shell", runs, given.seconds))
        maker = Hibari(home=given.home, model=given.model)
        for version in versions:
            warm(maker, given, version, folder / f"{version}-first.mp4")
            runs = [warm(maker, given, version, folder / f"{version}-{number}.mp4") for number in range(given.runs)]
            rows.append(row_of(f"{TITLES[version]}, warm", runs, given.seconds))
    head = ("version", "wall, s", "processor, s", "pace", "start, s", *(f"{stage}, s" for stage in STAGES))
    facts = {
        "model": f"{model.name} ({model.revision})",
        "seconds of video": given.seconds,
        "import of torch, s on the wall": min(wall for wall, _ in torch_runs),
        "import of torch, s of the processor": min(work for _, work in torch_runs),
    }
    accounts.report(given.out / "pace.json", head, rows, facts)


TITLES = {"no-fast": "full", "fast": "fast"}

if __name__ == "__main__":
    main()
