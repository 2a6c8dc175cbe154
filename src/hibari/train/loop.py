"""The training loop: step, log, checkpoint, measure, stop. What a step computes is handed in.

Every number goes to `log.jsonl`, one object a line; a person sees one line at intervals.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor, nn

from hibari.errors import TrainingError
from hibari.train.checkpoint import load_checkpoint, save_checkpoint
from hibari.train.optim import MasterOptimizer, OptimConfig


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How a run is paced and watched; intervals are in steps, `checkpoint_seconds` in seconds.

    keep: the shares of the steps after which the averaged weights are kept.
    """

    optim: OptimConfig = OptimConfig()
    log_every: int = 20
    measure_every: int = 500
    sample_every: int = 1000
    checkpoint_seconds: float = 300.0
    stop_after_seconds: float = 0.0  # 0: run to the last step
    keep: tuple[float, ...] = ()

    @property
    def kept_steps(self) -> set[int]:
        """After which steps the averaged weights are kept."""
        return {max(1, round(share * self.optim.steps)) for share in self.keep}


@dataclass(frozen=True)
class Hooks:
    """What the loop calls: a loss from a step's number; measures, samples and a keeper of the averaged weights."""

    loss: Callable[[int], tuple[Tensor, dict[str, float]]]
    measure: Callable[[int], dict[str, Any]] | None = None
    sample: Callable[[int], None] | None = None
    keep: Callable[[int], None] | None = None


def train(model: nn.Module, out: Path, config: LoopConfig, hooks: Hooks) -> MasterOptimizer:
    """Train until the last step or the time limit; resumes from `out/checkpoint` if it is there.

    The model comes back with its averaged weights in it. Ctrl-C saves a checkpoint and raises on.
    """
    if any(not 0 < share <= 1 for share in config.keep):
        raise TrainingError(f"keep: {config.keep} are no shares of a run.", hint="Each is above 0 and at most 1.")
    if config.keep and hooks.keep is None:
        raise TrainingError("keep: this training keeps no weights on its way.", hint="Leave it empty.")
    out.mkdir(parents=True, exist_ok=True)
    optimizer = MasterOptimizer(model, config.optim)
    checkpoint = out / "checkpoint"
    step = 0
    if checkpoint.exists() or checkpoint.with_name("checkpoint.old").exists():
        step = load_checkpoint(checkpoint, optimizer)
    with (out / "log.jsonl").open("a") as log:
        try:
            step = _run(optimizer, out, config, hooks, step, log)
        finally:
            save_checkpoint(checkpoint, optimizer, optimizer_step(optimizer, step), config)
    with AveragedWeights(optimizer) as averaged:
        averaged.keep()
    return optimizer


def optimizer_step(optimizer: MasterOptimizer, fallback: int) -> int:
    """The number of updates made, read from the optimizer itself so that an interrupt cannot miscount."""
    states = list(optimizer.adamw.state.values())
    return int(states[0]["step"]) if states else fallback


class AveragedWeights:
    """Puts the averaged weights into the model for the time of a `with` block."""

    def __init__(self, optimizer: MasterOptimizer) -> None:
        self.optimizer = optimizer
        self.kept = False

    def keep(self) -> None:
        """Leave the averages in the model at the block's end."""
        self.kept = True

    def __enter__(self) -> "AveragedWeights":
        self.optimizer.fill(self.optimizer.average)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.kept:
            self.optimizer.fill(self.optimizer.masters)


def _run(optimizer: MasterOptimizer, out: Path, config: LoopConfig, hooks: Hooks, step: int, log: TextIO) -> int:
    start = last_save = last_log = time.monotonic()
    first = last_step = step
    window: list[float] = []
    _keep(optimizer, config, hooks, step)  # the last run may have been stopped between that step and its keeping
    while step < config.optim.steps:
        loss, extra = hooks.loss(step)
        window.append(loss.item())
        if not isfinite(window[-1]):
            raise TrainingError(f"the loss is not a number at step {step}.", hint="Lower the learning rate.")
        loss.backward()
        norm, lr = optimizer.step(step)
        step += 1
        now = time.monotonic()
        if step % config.log_every == 0:
            rate = (step - last_step) / max(1e-9, now - last_log)
            row = {"step": step, "loss": sum(window) / len(window), "norm": norm, "lr": lr, "steps_per_second": rate}
            _say(log, row | extra | {"seconds": now - start}, config.optim.steps)
            window, last_log, last_step = [], now, step
        if step % config.measure_every == 0 or step == config.optim.steps:
            with AveragedWeights(optimizer):
                if hooks.measure is not None:
                    _say(log, {"step": step, "measure": hooks.measure(step)}, config.optim.steps)
        if hooks.sample is not None and step % config.sample_every == 0:
            with AveragedWeights(optimizer):
                hooks.sample(step)
        _keep(optimizer, config, hooks, step)
        if now - last_save > config.checkpoint_seconds:
            save_checkpoint(out / "checkpoint", optimizer, step, config)
            last_save = now
        if config.stop_after_seconds and now - start > config.stop_after_seconds and step > first:
            break
    return step


def _keep(optimizer: MasterOptimizer, config: LoopConfig, hooks: Hooks, step: int) -> None:
    if hooks.keep is not None and step in config.kept_steps:
        with AveragedWeights(optimizer):
            hooks.keep(step)


def _say(log: TextIO, row: dict[str, Any], steps: int) -> None:
    log.write(json.dumps(row) + "\n")
    log.flush()
    shown = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if k != "step")
    sys.stderr.write(f"step {row['step']}/{steps}  {shown}\n")
