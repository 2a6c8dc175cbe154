"""What shortcuts cost: a clip made in full and with them, from the same noise, and how far the frames are apart.

Nothing is written: no file comes of these clips. Legend: T frames, H W rows and columns.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hibari.evaluate.reconstruction import psnr
from hibari.generate.backend import Prompt
from hibari.generate.generator import Generator
from hibari.generate.plan import Plan, make_plan
from hibari.request import GenerationRequest, Shortcuts

WINDOW = 7
STABILISERS = (0.01**2, 0.03**2)  # of Wang et al. 2004, for values in [0, 1]


def measure(generator: Generator, request: GenerationRequest, seeds: Iterable[int]) -> dict[str, Any]:
    """PSNR and SSIM of the frames that a request's shortcuts give against those without, and the seconds of both walks.

    Raises InvalidRequest for shortcuts that have no effect with this model.
    """
    prompt, shortcuts = request.prompt, request.shortcuts
    plans = [make_plan(request, generator.model, seed) for seed in seeds]
    clips = []
    generator.make_latent(make_plan(replace(request, steps=1), generator.model, 1), Prompt(prompt))  # warms up
    for plan in plans:
        made, seconds = zip(
            *(_made(generator, replace(plan, shortcuts=each), prompt) for each in (Shortcuts(), shortcuts)), strict=True
        )
        exact, short = made
        clips.append(
            {
                "seed": plan.seed,
                "psnr_db": psnr(short, exact),
                "ssim": ssim(short, exact),
                "exact_s": seconds[0],
                "shortcut_s": seconds[1],
            }
        )
    means = {name: float(np.mean([clip[name] for clip in clips])) for name in clips[0] if name != "seed"}
    facts = {"model": generator.model.name, "revision": generator.model.revision, "dtype": str(generator.dtype)}
    return facts | {"prompt": prompt, "shortcuts": str(shortcuts), "steps": plans[0].steps, **means, "clips": clips}


def _made(generator: Generator, plan: Plan, prompt: str) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    latent = generator.make_latent(plan, Prompt(prompt))
    seconds = time.perf_counter() - start
    return np.stack(list(generator.decode(latent))), seconds


def ssim(frames: np.ndarray, others: np.ndarray) -> float:
    """Mean structural similarity of uint8 frames (T,H,W,3), by windows of 7x7 pixels (Wang et al. 2004)."""
    x, y = (torch.from_numpy(each).double().div(255).permute(0, 3, 1, 2) for each in (frames, others))

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, WINDOW, stride=1)

    mean_x, mean_y = mean(x), mean(y)
    across = mean(x * y) - mean_x * mean_y
    spread = mean(x * x) - mean_x.square() + mean(y * y) - mean_y.square()
    a, b = STABILISERS
    likeness = (2 * mean_x * mean_y + a) * (2 * across + b)
    return float((likeness / ((mean_x.square() + mean_y.square() + a) * (spread + b))).mean())


def shortcuts_table(result: dict[str, Any]) -> str:
    """The result for a person."""
    exact, short = result["exact_s"], result["shortcut_s"]
    return (
        f"{result['model']}, {result['steps']} steps, {len(result['clips'])} clips: {result['shortcuts']}\n"
        f"against the exact path: PSNR {result['psnr_db']:.1f} dB, SSIM {result['ssim']:.4f}\n"
        f"denoising {short:.2f} s instead of {exact:.2f} s ({short / exact:.2f} of the time)\n"
    )
