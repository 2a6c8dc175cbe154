"""Between the halves of `hibari train mini`: world clips of all native sizes, as latents and text states.

Run by `recipes.mini`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hibari.data.clips import worker_pool
from hibari.data.latents import save_part
from hibari.model.vae import WanVAE
from hibari.recipes.mini_vae import to_video
from hibari.shapes import VideoShape


class TextEncoder(Protocol):
    """What turns prompts into token states (n_i, D)."""

    def encode(self, prompts: list[str]) -> list[Tensor]: ...


@dataclass(frozen=True)
class Sample:
    """A rendered scene: its frames, a reference picture of its object or None, its captions and labels."""

    frames: np.ndarray
    reference: np.ndarray | None
    captions: list[str]
    labels: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CacheRecipe:
    """What is cached: (width, height, frames, clips) for each part, in this order. Those of clips carry references.

    frames_at_once: as many frames or a few more go through the encoder together; few keep a CPU's memory small, many
    keep a GPU busy.
    """

    parts: tuple[tuple[int, int, int, int], ...]
    captions: int = 2
    seed: int = 100
    frames_at_once: int = 40


AHEAD = 200
NATIVE_SIZES = (
    (192, 112),
    (112, 192),
    (128, 128),
    (160, 96),
    (96, 160),
    (144, 112),
    (112, 144),
    (256, 144),
    (144, 256),
)

# Most of both kinds at the default size; enough of the others that each is seen.
CPU_PARTS = (
    *((w, h, 1, n) for (w, h), n in zip(NATIVE_SIZES, (4000, *(1000,) * 8), strict=True)),
    *((w, h, 21, n) for (w, h), n in zip(NATIVE_SIZES, (2600, 500, 900, 300, 300, 150, 150, 60, 40), strict=True)),
    (192, 112, 37, 300),
    (128, 128, 61, 80),
)

Sampler = Callable[[VideoShape, int], Sample]
"""From a shape and a seed to a sample."""


def build_cache(
    folder: Path,
    recipe: CacheRecipe,
    make_sampler: Callable[[], Sampler],
    models: tuple[WanVAE, TextEncoder],
    workers: int,
) -> None:
    """Render, encode and write every part that is not there yet; latents are normalised by the VAE's statistics.

    make_sampler is called once in each of the processes, which stay for all parts: they keep decoded sprites.
    """
    missing = {}
    for number, (width, height, frames, clips) in enumerate(recipe.parts):
        path = folder / f"{number:03d}-{width}x{height}x{frames}.safetensors"
        first = recipe.seed * 10**7 + number * 10**5
        if not path.exists():
            missing[path] = (VideoShape(frames, height, width), range(first, first + clips))
    if not missing:
        return
    with worker_pool(workers, _start, make_sampler) as pool:
        for path, (shape, seeds) in missing.items():
            _write_part(path, _batches(_samples(pool, shape, seeds), recipe.frames_at_once), models)


def _write_part(path: Path, batches: Iterator[list[Sample]], models: tuple[WanVAE, TextEncoder]) -> None:
    vae, text = models
    latents: list[Tensor] = []
    references: list[Tensor] = []
    states: list[Tensor] = []
    labels = []
    for batch in batches:
        latents.append(encode(vae, [s.frames for s in batch]))
        pictures = [s.reference[None] for s in batch if s.reference is not None]
        if pictures:
            references.append(encode(vae, pictures))
        captions = [caption for s in batch for caption in s.captions]
        states += [s.half().cpu() for s in text.encode(captions)]
        labels += [s.labels | {"captions": s.captions} for s in batch]
    save_part(path, torch.cat(latents), torch.cat(references) if references else None, states, labels)


@torch.no_grad()
def encode(vae: WanVAE, clips: Sequence[np.ndarray]) -> Tensor:
    """Normalised latents (B, C, t, h, w) bf16 of clips of one shape, on the CPU."""
    weight = next(vae.parameters())
    mean, _ = vae.encode(to_video(np.stack(clips), weight.device).to(weight.dtype))
    return vae.normalise(mean.float()).bfloat16().cpu()


def _samples(pool: ProcessPoolExecutor, shape: VideoShape, seeds: range) -> Iterator[Sample]:
    """The samples in order; AHEAD of them are asked for in advance, since all at once would fill the memory."""
    waiting: deque[Future[Sample]] = deque()
    for seed in seeds:
        waiting.append(pool.submit(_sample, shape, seed))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _batches(samples: Iterator[Sample], frames: int) -> Iterator[list[Sample]]:
    """Groups of about so many frames, which keeps the encoder's matrices large and its memory small."""
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if sum(len(s.frames) for s in batch) >= frames:
            yield batch
            batch = []
    if batch:
        yield batch


class _Worker:
    """The sampler of one child process."""

    sampler: Sampler | None = None


def _start(make: Callable[[], Sampler]) -> None:
    _Worker.sampler = make()


def _sample(shape: VideoShape, seed: int) -> Sample:
    assert _Worker.sampler is not None
    return _Worker.sampler(shape, seed)
