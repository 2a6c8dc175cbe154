"""Processes of one gloo group on this machine, for tests: each runs the same function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def together(work: Callable[..., Any], folder: Path, *given: Any, ranks: int = 2) -> list[Any]:
    """What `work(*given)` returned in each of so many processes, which share `folder` to meet in."""
    mp.spawn(_one, (work, folder, ranks, given), nprocs=ranks)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(ranks)]


def _one(rank: int, work: Callable[..., Any], folder: Path, ranks: int, given: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=ranks)
    try:
        with torch.inference_mode():
            torch.save(work(*given), folder / f"{rank}.pt")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
