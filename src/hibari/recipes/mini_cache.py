"""Between the halves of `hibari train mini`: world clips of all native sizes, as latents and text states.

Run by `recipes.mini`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
    """What is cached: (width, height, frames, clips) for each part, in this order.

    references: the share of the parts that carry reference pictures, counted from the first of each kind.
    """

    parts: tuple[tuple[int, int, int, int], ...]
    captions: int = 2
    seed: int = 100


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

MakeSampler = Callable[[VideoShape, int, bool], Callable[[int], Sample]]
"""From shape, captions each and held_out to a function from a seed to a sample; called once in each process."""


def build_cache(
    folder: Path,
    recipe: CacheRecipe,
    make_sampler: MakeSampler,
    models: tuple[WanVAE, TextEncoder],
    workers: int,
    *,
    held_out: bool = False,
) -> None:
    """Render, encode and write every part that is not there yet; latents are normalised by the VAE's statistics."""
    for number, (width, height, frames, clips) in enumerate(recipe.parts):
        path = folder / f"{number:03d}-{width}x{height}x{frames}.safetensors"
        if path.exists():
            continue
        first = recipe.seed * 10**7 + number * 10**5
        sampler = partial(make_sampler, VideoShape(frames, height, width), recipe.captions, held_out)
        _write_part(path, _samples(sampler, range(first, first + clips), workers), models)


def _write_part(path: Path, samples: Iterator[Sample], models: tuple[WanVAE, TextEncoder]) -> None:
    vae, text = models
    latents: list[Tensor] = []
    references: list[Tensor] = []
    states: list[Tensor] = []
    labels = []
    for batch in _batches(samples):
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
    mean, _ = vae.encode(to_video(np.stack(clips)).to(weight.device, weight.dtype))
    return vae.normalise(mean.float()).bfloat16().cpu()


def _samples(make: Callable[[], Callable[[int], Sample]], seeds: range, workers: int) -> Iterator[Sample]:
    with worker_pool(workers, _start, make) as pool:
        for first in range(0, len(seeds), AHEAD):  # not all at once: rendered clips would fill the memory
            yield from pool.map(_sample, seeds[first : first + AHEAD], chunksize=4)


def _batches(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    """Groups of about 40 frames, which keeps the encoder's matrices large and its memory small."""
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if sum(len(s.frames) for s in batch) >= 40:
            yield batch
            batch = []
    if batch:
        yield batch


class _Worker:
    """The sampler of one child process."""

    sampler: Callable[[int], Sample] | None = None


def _start(make: Callable[[], Callable[[int], Sample]]) -> None:
    _Worker.sampler = make()


def _sample(seed: int) -> Sample:
    assert _Worker.sampler is not None
    return _Worker.sampler(seed)
