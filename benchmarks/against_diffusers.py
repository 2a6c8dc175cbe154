"""The same generation by Hibari and by diffusers' WanPipeline on the same weights: speed, and whether they agree.

    python benchmarks/against_diffusers.py [--model NAME_OR_FOLDER] [--dtype bfloat16|float32] [--seconds 3] [--runs 3]

One process, same threads, solver, steps, guidance and starting noise; warm runs take turns; from the prompt's text to
frames in memory. Cold start is a process of its own for each: imports, loading and the first clip. Needs `diffusers`.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accounts
import numpy as np

PROMPT = "an octopus drifts to the right over the ocean at sunset"
SEED = 1
Make = Callable[[], np.ndarray]


def make_ours(name: str, home: Path | None, dtype: str, seconds: float) -> Make:
    """Hibari, loaded; the function makes the clip."""
    import torch

    from hibari import catalog
    from hibari.config import Settings
    from hibari.generate.backend import Prompt
    from hibari.generate.generator import Generator
    from hibari.generate.plan import make_plan
    from hibari.request import GenerationRequest

    model = catalog.find(name, Settings.load(home=home))
    generator = Generator.load(model, torch.device("cpu"), getattr(torch, dtype))
    plan = make_plan(GenerationRequest(prompt=PROMPT, seconds=seconds), model, SEED)
    return lambda: np.stack(list(generator.decode(generator.make_latent(plan, Prompt(PROMPT)))))


def make_theirs(name: str, home: Path | None, dtype: str, seconds: float) -> Make:
    """diffusers, loaded; the function makes the clip from the noise that Hibari draws for this seed."""
    import torch
    from diffusers import WanPipeline
    from diffusers.utils import logging

    from hibari import catalog
    from hibari.config import Settings
    from hibari.generate.generator import draw_noise
    from hibari.generate.plan import make_plan
    from hibari.request import GenerationRequest

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = catalog.find(name, Settings.load(home=home))
    plan = make_plan(GenerationRequest(prompt=PROMPT, seconds=seconds), model, SEED)
    pipeline = WanPipeline.from_pretrained(model.folder, dtype=getattr(torch, dtype))
    pipeline.set_progress_bar_config(disable=True)
    noise = draw_noise(SEED, model.strides.latent(plan.render))[None]

    def make() -> np.ndarray:
        frames = pipeline(
            PROMPT,
            height=plan.render.height,
            width=plan.render.width,
            num_frames=plan.render.frames,
            num_inference_steps=plan.steps,
            guidance_scale=plan.guidance,
            latents=noise,
            output_type="np",
        ).frames[0]
        rounded: np.ndarray = (frames * 255).round().astype(np.uint8)
        return rounded

    return make


MAKERS = {"hibari": make_ours, "diffusers": make_theirs}


def timed(make: Make) -> tuple[float, np.ndarray]:
    """Seconds and frames of one clip."""
    start = time.perf_counter()
    frames = make()
    return time.perf_counter() - start, frames


def cold(side: str, arguments: list[str]) -> float:
    """Seconds of a whole process that imports, loads and makes one clip."""
    start = time.perf_counter()
    subprocess.run([sys.executable, __file__, *arguments, "--only", side], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def compare(given: argparse.Namespace, arguments: list[str]) -> None:
    """Warm runs in turns, then cold starts, then the report."""
    from hibari.evaluate.reconstruction import psnr

    settings = (given.model, given.home, given.dtype, given.seconds)
    makers = {side: load(*settings) for side, load in MAKERS.items()}
    frames = {side: timed(make)[1] for side, make in makers.items()}  # the first clip warms up
    spent: dict[str, list[float]] = {side: [] for side in makers}
    for _ in range(given.runs):
        for side, make in makers.items():
            spent[side].append(timed(make)[0])
    warm = {side: min(seconds) for side, seconds in spent.items()}
    cold_start = {side: cold(side, arguments) for side in makers}
    rows: list[list[Any]] = [
        ["warm", warm["hibari"], warm["diffusers"], warm["diffusers"] / warm["hibari"]],
        ["cold start", cold_start["hibari"], cold_start["diffusers"], cold_start["diffusers"] / cold_start["hibari"]],
    ]
    facts = {
        "model": given.model,
        "dtype": given.dtype,
        "frames": list(frames["hibari"].shape),
        "agreement, dB": psnr(frames["hibari"], frames["diffusers"]),
        "all warm runs, s": spent,
    }
    name = "against_diffusers" + ("" if given.dtype == "bfloat16" else f"_{given.dtype}")
    accounts.report(given.out / f"{name}.json", ("", "hibari, s", "diffusers, s", "times as fast"), rows, facts)


def main() -> None:
    """Compare both, or with --only run one side alone, once."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=tuple(MAKERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        MAKERS[given.only](given.model, given.home, given.dtype, given.seconds)()
    else:
        compare(given, sys.argv[1:])


if __name__ == "__main__":
    main()
