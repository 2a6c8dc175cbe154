"""Checkpoints of a run: safetensors and JSON in one folder, written whole or not at all.

A checkpoint holds the masters, their averages, the optimizer's moments, the step and the resolved
config. Batches and noise are pure functions of (seed, step), so there is no other state to keep,
and a resumed run goes on bit for bit.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hibari.errors import TrainingError
from hibari.train.optim import MasterOptimizer


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place when the block ends well, and goes when it does not.

    One that a kill left behind goes at the next try: its name, with .new, is no name of a whole one.
    """
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def save_checkpoint(folder: Path, optimizer: MasterOptimizer, step: int, config: Any) -> None:
    """Write `folder` as one step: whole or not at all."""
    resolved = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    with whole_folder(folder) as fresh:
        save_file({k: v.contiguous() for k, v in optimizer.tensors().items()}, fresh / "state.safetensors")
        (fresh / "run.json").write_text(json.dumps({"step": step, "config": resolved}, indent=1, default=str))


def saved_step(folder: Path) -> int | None:
    """How many steps the run of a checkpoint has made; None where there is no checkpoint."""
    try:
        return int(json.loads((folder / "run.json").read_text())["step"])
    except FileNotFoundError:
        return None


def load_checkpoint(folder: Path, optimizer: MasterOptimizer) -> int:
    """Fill the optimizer and its model; returns the next step. TrainingError where it does not fit.

    The run's length may differ (a run can be made longer); every other setting of the optimizer must be the same.
    """
    if not folder.exists() and folder.with_name(folder.name + ".old").exists():
        folder = folder.with_name(folder.name + ".old")  # stopped between the two renames
    try:
        run = json.loads((folder / "run.json").read_text())
        optimizer.load_tensors(load_file(folder / "state.safetensors"))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainingError(
            f"{folder} is no checkpoint of this model: {error}.", hint="Choose another `out` folder."
        ) from error
    saved, now = run["config"]["optim"], json.loads(json.dumps(asdict(optimizer.config)))
    if differing := sorted(key for key in now if key != "steps" and now[key] != saved.get(key)):
        raise TrainingError(
            f"{folder} was trained with another {', '.join(differing)}.", hint="Use its settings, or another `out`."
        )
    return int(run["step"])
