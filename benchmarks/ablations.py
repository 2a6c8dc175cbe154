"""Short training runs that differ in one thing each: held-out loss by noise level, and time, of each beside the recipe.

    python benchmarks/ablations.py RUN [--steps 250] [--only NAME] [--threads 2] [--keep FOLDER]

RUN is the folder of a run of `hibari train mini` with its VAE and both caches (the stages "vae" and "cache"). Each
variant trains the transformer from nothing on them, with the recipe's course of the learning rate squeezed into so
many steps; all see the same packs, but where the packs are what differs. The steps are few, so small differences
between two variants may turn round later: what is told apart here is what is plainly worse.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import accounts

from hibari.train.packs import LEVELS

PICTURES = 0.35  # of the steps are on pictures alone, as in the recipe
# What each variant changes, as `hibari train mini --set` takes it; {name} is worked out from the steps.
VARIANTS = {
    "recipe": [],
    "narrow and deep: 256 x 12": ["model.num_attention_heads=2", "model.ffn_dim=512", "model.num_layers=12"],
    "wide and shallow: 512 x 3": ["model.num_attention_heads=4", "model.ffn_dim=704", "model.num_layers=3"],
    "no steps on pictures alone": ["pictures_until=0"],
    "packs of half, twice the steps": [
        "pictures.tokens=2048", "clips.tokens=2048", "loop.optim.steps={twice}", "pictures_until={pictures_twice}"
    ],
    "levels not shifted": ["objective.draw.shift=1.0"],
    "levels shifted by 4": ["objective.draw.shift=4.0"],
    "fewer clips with known frames": ["objective.independent=0.1", "objective.clean_start=0.1"],
    "half the learning rate": ["loop.optim.lr=5e-4", "loop.optim.muon_lr=1e-3"],
    "twice the learning rate": ["loop.optim.lr=2e-3", "loop.optim.muon_lr=4e-3"],
    "four times the learning rate": ["loop.optim.lr=4e-3", "loop.optim.muon_lr=8e-3"],
    "eight times the learning rate": ["loop.optim.lr=8e-3", "loop.optim.muon_lr=1.6e-2"],
    "averaged over 10 steps": ["loop.optim.ema=0.9"],
}  # fmt: skip


def settings(changes: list[str], steps: int) -> list[str]:
    """Of one run, as the recipe's command takes them."""
    named = {"twice": 2 * steps, "pictures_twice": int(2 * steps * PICTURES)}
    usual = [
        f"loop.optim.steps={steps}",
        f"pictures_until={int(steps * PICTURES)}",
        f"loop.optim.warmup={steps // 20}",
        "loop.optim.ema=0.98",
        f"loop.measure_every={2 * steps}",
        "loop.checkpoint_seconds=100000",
        "loop.keep=[]",
    ]
    return [f"dit.{each.format(**named)}" for each in [*usual, *changes]]


def train(run: Path, out: Path, changes: list[str], steps: int, threads: int) -> tuple[dict[str, float], float]:
    """The held-out loss by level at the end, and the seconds that it took."""
    out.mkdir(parents=True, exist_ok=True)
    for part in ("cache", "unseen", "vae"):
        if not (out / part).exists():
            (out / part).symlink_to((run / part).resolve(), target_is_directory=True)
    stages = ['stages=["dit"]', "samples=[]", f"threads={threads}", f"out={out}"]
    command = [sys.executable, "-m", "hibari.recipes", "mini", *stages, *settings(changes, steps)]
    started = time.monotonic()
    with (out / "said.log").open("w") as said:
        code = subprocess.call(command, stdout=said, stderr=said, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    if code:
        raise SystemExit((out / "said.log").read_text()[-2000:])
    lines = [json.loads(line) for line in (out / "dit" / "log.jsonl").read_text().splitlines()]
    measured: dict[str, float] = [line["measure"] for line in lines if "measure" in line][-1]
    return measured, time.monotonic() - started


def main() -> None:
    """Train each variant and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("run", type=Path, help="folder of a run with its VAE and caches")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--only", default="", help="variants whose name holds this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the runs, which are thrown away else")
    given = parser.parse_args()
    columns = [*(f"loss_at_{level}" for level in LEVELS), "mean"]
    rows: list[list[Any]] = []
    with TemporaryDirectory() as temporary:
        for number, (name, changes) in enumerate(VARIANTS.items()):
            if given.only not in name:
                continue
            out = (given.keep or Path(temporary)) / str(number)
            measured, seconds = train(given.run, out, changes, given.steps, given.threads)
            rows.append([name, *(round(measured[column], 3) for column in columns), round(seconds)])
            print(rows[-1], file=sys.stderr, flush=True)
    head = ["variant", *(column.replace("loss_", "loss ").replace("_", " ") for column in columns), "seconds"]
    accounts.report(given.out / "ablations.json", head, rows, {"steps": given.steps})


if __name__ == "__main__":
    main()
