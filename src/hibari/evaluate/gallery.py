"""A contact sheet of fixed prompts and seeds, to see with one's own eyes what numbers say.

Its clips are made, and the sheet itself is delivered, by the one road: both are screened, marked, signed and recorded.
"""

import tempfile
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hibari.clip import Clip
from hibari.media import decode
from hibari.produce import Hibari, Record
from hibari.produce.sheet import check_sheet_target, publish_sheet
from hibari.request import GenerationRequest
from hibari.worlds.sheet import INK, PAPER, strip

PROMPTS = (
    "an octopus drifts to the right over the ocean at sunset",
    "a panda stays still in a meadow",
    "a rocket rises in the night sky",
    "a red heart grows larger under a starry sky",
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
FRAMES, HEIGHT = 3, 100  # of each clip, and the pixels that a frame is high
PROMPT_SIZE, SEED_SIZE = 24, 20  # pixels of letters, which are still read where the sheet is shown at half its size
MARGIN, GAP = 28, 16  # pixels around the sheet, and between its seeds
FADED = (120, 120, 126)
ROW_GAP = 20  # pixels between the frames of a prompt and the next prompt
LABEL_STRIP = 0.14  # of the sheet's shorter side, left free at its foot so that the visible label covers no clip


def make_gallery(
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
    rows: list[list[Image.Image]] = []
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        for prompt in prompts:
            rows.append([])
            for seed in seeds:
                request = GenerationRequest(prompt=prompt, seconds=SECONDS, seed=seed)
                record = hibari.generate(request, output=Path(folder) / f"{len(records)}.mp4")
                _, frames = decode.read_video(record.path, MOST_FRAMES)
                rows[-1].append(strip(Clip(np.stack(frames), record.plan.fps, prompt), FRAMES, HEIGHT))
                records.append(record)
                if on_clip is not None:
                    on_clip(len(records), len(prompts) * len(seeds))
        return publish_sheet(hibari, lay_out(rows, prompts, [f"seed {seed}" for seed in seeds]), records, target)


def lay_out(rows: Sequence[Sequence[Image.Image]], prompts: Sequence[str], heads: Sequence[str]) -> Image.Image:
    """One row of strips under each prompt, one column under each head, and room for the label at the foot."""
    across, high = max(each.width for row in rows for each in row) + GAP, rows[0][0].height
    first = MARGIN + 2 * SEED_SIZE
    down = ceil(1.4 * PROMPT_SIZE) + high + ROW_GAP
    large, small = ImageFont.load_default(PROMPT_SIZE), ImageFont.load_default(SEED_SIZE)
    broad = max(len(heads) * across - GAP, *(ceil(large.getlength(prompt)) for prompt in prompts))
    size = (2 * MARGIN + broad, first + len(rows) * down)
    sheet = Image.new("RGB", (size[0], size[1] + ceil(LABEL_STRIP * min(size))), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        pen.text((MARGIN + column * across, MARGIN / 2), head, fill=FADED, font=small)
    for index, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        top = first + index * down
        pen.text((MARGIN, top), prompt, fill=INK, font=large)
        for column, picture in enumerate(row):
            sheet.paste(picture, (MARGIN + column * across, top + ceil(1.4 * PROMPT_SIZE)))
    return sheet
