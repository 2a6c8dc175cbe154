"""World clips rendered once into one file, for training that reads pixels (the VAE).

Several processes render; the file is a plain array (N, T, H, W, 3) of bytes that is mapped, not read.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Renderer = Callable[[int], np.ndarray]
"""A clip (T, H, W, 3) uint8 from a seed."""


def render_clips(path: Path, make_renderer: Callable[[], Renderer], seeds: Sequence[int], workers: int) -> np.ndarray:
    """The clips of these seeds as a mapped array; rendered where the file is not there yet.

    make_renderer is called once in each process (a module-level function or a partial of one).
    """
    if path.exists():
        clips: np.ndarray = np.load(path, mmap_mode="r")
        if len(clips) == len(seeds):
            return clips
    path.parent.mkdir(parents=True, exist_ok=True)
    first = make_renderer()(seeds[0])
    fresh = path.with_suffix(".new.npy")
    clips = np.lib.format.open_memmap(fresh, mode="w+", dtype=np.uint8, shape=(len(seeds), *first.shape))
    clips[0] = first
    with worker_pool(workers, _start, make_renderer) as pool:
        for i, clip in enumerate(pool.map(_render, seeds[1:], chunksize=8), start=1):
            clips[i] = clip
    clips.flush()
    fresh.rename(path)
    return np.load(path, mmap_mode="r")


def worker_pool(workers: int, start: Callable[[Any], None], given: Any) -> ProcessPoolExecutor:
    """Fresh processes that each call `start(given)` first; one that dies ends the work with an error."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=start, initargs=(given,))


class _Worker:
    """The renderer of one child process."""

    renderer: Renderer | None = None


def _start(make_renderer: Callable[[], Renderer]) -> None:
    _Worker.renderer = make_renderer()


def _render(seed: int) -> np.ndarray:
    assert _Worker.renderer is not None
    return _Worker.renderer(seed)
