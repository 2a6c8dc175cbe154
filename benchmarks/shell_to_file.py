"""From the shell's prompt to a file: a 3 second clip at the default size, and the share of the machine's own rate.

    python benchmarks/shell_to_file.py [--model NAME_OR_FOLDER] [--runs 3] [--home DIR]

Each run is a new `hibari generate` process, so that starting up counts. The rate of denoising is compared with this
machine's bf16 matrix product, measured before and after.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import accounts
import torch

from hibari import catalog
from hibari.config import Settings
from hibari.generate.plan import make_plan
from hibari.machine import matmul_rate
from hibari.model.text import MiniLMTextEncoder
from hibari.model.weights import load_dit
from hibari.request import GenerationRequest

PROMPT = "an octopus drifts to the right over the ocean at sunset"
SECONDS = 3.0
TARGET = 15.0  # seconds, on 2 cores


def run_once(model: str, home: Path | None, folder: Path, number: int) -> dict[str, Any]:
    """One whole process; the record that it prints, with the wall-clock seconds around it."""
    command = [sys.executable, "-m", "hibari", "generate", PROMPT, "--seconds", str(SECONDS), "--seed", "1", "--json"]
    command += ["--model", model, "-o", str(folder / f"{number}.mp4")]
    command += ["--home", str(home)] if home else []
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall = time.perf_counter() - start
    record: dict[str, Any] = json.loads(done.stdout)
    return record | {"wall": wall}


def flops_of(model: catalog.Model, steps: int) -> float:
    """Operations of all denoising steps: the prompt and the empty prompt in each."""
    plan = make_plan(GenerationRequest(prompt=PROMPT, seconds=SECONDS), model, 1)
    config = load_dit(model.folder / "transformer", torch.device("meta"), torch.bfloat16).config
    states = MiniLMTextEncoder.load(model.folder).encode([PROMPT, ""])
    grid = model.strides.grid(model.strides.latent(plan.render))
    clips = states if plan.guidance != 1 else states[:1]
    return steps * sum(accounts.denoise_flops(config, grid, len(state) + 1) for state in clips)


def main() -> None:
    """Run, and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    model = catalog.find(given.model, Settings.load(home=given.home))
    device = torch.device("cpu")
    rates = [matmul_rate(device, torch.bfloat16)]
    with tempfile.TemporaryDirectory() as folder:
        records = [run_once(given.model, given.home, Path(folder), number) for number in range(given.runs)]
    rates.append(matmul_rate(device, torch.bfloat16))
    flops = flops_of(model, records[0]["steps"])
    rows = []
    for number, record in enumerate(records):
        spent = record["seconds_spent"]
        share = flops / spent["denoise"] / max(rates)
        rows.append(
            [number, record["wall"], *(spent[stage] for stage in ("load", "denoise", "decode", "encode")), share]
        )
    head = ("run", "prompt to file, s", "load, s", "denoise, s", "decode, s", "encode, s", "denoise / matmul rate")
    facts = {
        "model": model.name,
        "revision": model.revision,
        "render": records[0]["render_size"],
        "steps": records[0]["steps"],
        "denoise GFLOP": flops / 1e9,
        "matmul bf16 GFLOP/s": max(rates) / 1e9,
        "best run, s": min(row[1] for row in rows),
        "target, s": TARGET,
    }
    accounts.report(given.out / "shell_to_file.json", head, rows, facts)


if __name__ == "__main__":
    main()
