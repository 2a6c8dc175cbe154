"""A contact sheet of fixed prompts and seeds, made by the one road, to see with one's own eyes what numbers say."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hibari.clip import Clip
from hibari.media import decode
from hibari.produce import Hibari
from hibari.request import GenerationRequest
from hibari.worlds.sheet import contact_sheet

PROMPTS = (
    "an octopus drifts to the right over the ocean at sunset",
    "a panda stays still in a meadow",
    "a rocket rises in the night sky",
    "a red heart grows larger in front of a starry sky",
    "a snowman slides to the left in the snow",
    "a whale moves left over the sea",
    "a frog hops up and down in a forest",
    "a ladybug goes up in a field of flowers",
    "a helicopter descends in the desert",
    "a penguin glides from left to right in a blue sky",
)
SEEDS = range(4)
SECONDS = 1.5
MOST_FRAMES = 1000


def gallery(
    hibari: Hibari,
    prompts: Sequence[str] = PROMPTS,
    seeds: Sequence[int] = SEEDS,
    on_clip: Callable[[int, int], None] | None = None,
) -> Image.Image:
    """Every prompt with every seed, a row for each prompt; `on_clip(done, total)` is told of each clip."""
    clips: list[Clip] = []
    with tempfile.TemporaryDirectory() as folder:
        for prompt in prompts:
            for seed in seeds:
                request = GenerationRequest(prompt=prompt, seconds=SECONDS, seed=seed)
                record = hibari.generate(request, output=Path(folder) / f"{len(clips)}.mp4")
                _, frames = decode.read_video(record.path, MOST_FRAMES)
                clips.append(Clip(np.stack(frames), record.plan.fps, f"{seed}: {prompt}"))
                if on_clip is not None:
                    on_clip(len(clips), len(prompts) * len(seeds))
    return contact_sheet(clips, columns=len(seeds), frames=4)
