"""A contact sheet of fixed prompts and seeds, to see with one's own eyes what numbers say.

Its clips are made, and the sheet itself is delivered, by the one road: both are screened, marked, signed and recorded.
"""

import tempfile
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import ImageOps

from hibari.clip import Clip
from hibari.media import decode
from hibari.produce import Hibari, Record
from hibari.produce.sheet import check_sheet_target, publish_sheet
from hibari.request import GenerationRequest
from hibari.worlds.sheet import PAPER, contact_sheet

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
LABEL_STRIP = 0.14  # of the sheet's shorter side, left free at its foot so that the visible label covers no clip


def gallery(
    hibari: Hibari,
    output: Path,
    prompts: Sequence[str] = PROMPTS,
    seeds: Sequence[int] = SEEDS,
    on_clip: Callable[[int, int], None] | None = None,
) -> Record:
    """Write a picture of every prompt with every seed, a row for each prompt; raises as `Hibari.generate` does.

    `on_clip(done, total)` is told of each clip. The clips go once the sheet stands; what is recorded of them stays.
    """
    target = check_sheet_target(output)
    clips: list[Clip] = []
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        for prompt in prompts:
            for seed in seeds:
                request = GenerationRequest(prompt=prompt, seconds=SECONDS, seed=seed)
                record = hibari.generate(request, output=Path(folder) / f"{len(clips)}.mp4")
                _, frames = decode.read_video(record.path, MOST_FRAMES)
                clips.append(Clip(np.stack(frames), record.plan.fps, f"{seed}: {prompt}"))
                records.append(record)
                if on_clip is not None:
                    on_clip(len(clips), len(prompts) * len(seeds))
        sheet = contact_sheet(clips, columns=len(seeds), frames=4)
        below = ceil(LABEL_STRIP * min(sheet.size))
        sheet = ImageOps.expand(sheet, (0, 0, 0, below), fill=PAPER)
        return publish_sheet(hibari, sheet, records, target)
