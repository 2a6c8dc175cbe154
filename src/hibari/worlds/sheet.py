"""Contact sheets: clips as strips of frames with their captions, as one picture to look at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hibari.clip import Clip
from hibari.errors import OutputError
from hibari.shapes import VideoShape
from hibari.worlds.pack import STARTER_PACK, SpritePack
from hibari.worlds.vocabulary import STARTER, whole
from hibari.worlds.world import World

SHAPE = VideoShape(17, 128, 128)
INK, PAPER = (30, 30, 34), (250, 250, 248)


def save_sheet(
    output: Path,
    pack: Path | None = None,
    *,
    shape: VideoShape = SHAPE,
    count: int = 24,
    first_seed: int = 0,
    columns: int = 2,
) -> Path:
    """Write a contact sheet of seeds in order: of the starter world, or of the whole world of a pack that is given."""
    sprites = SpritePack.load(pack or STARTER_PACK)
    world = World(sprites, whole(sprites) if pack else STARTER)
    clips = [world.scene(seed, shape).clip() for seed in range(first_seed, first_seed + count)]
    try:
        contact_sheet(clips, columns).save(output)
    except (OSError, ValueError) as error:
        raise OutputError(f"{output} cannot be written: {error}.", hint="Use a .png in a folder of yours.") from error
    return output


def contact_sheet(
    clips: Sequence[Clip], columns: int = 2, *, frames: int = 6, height: int = 96, text_size: int = 13
) -> Image.Image:
    """Lay clips out in `columns`, each as `frames` evenly spaced pictures of `height` pixels over its caption."""
    assert clips, "nothing to show"
    font = ImageFont.load_default(text_size)
    strips = [strip(clip, frames, height) for clip in clips]
    gap, line = 8, text_size + 6
    cell = max(strip.width for strip in strips)
    captions = [_wrap(clip.caption, font, cell) for clip in clips]
    rows = [range(start, min(start + columns, len(clips))) for start in range(0, len(clips), columns)]
    heights = [height + gap + line * max(len(captions[i]) for i in row) for row in rows]
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, sum(heights) + gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    y = gap
    for row, tall in zip(rows, heights, strict=True):
        for column, index in enumerate(row):
            x = gap + column * (cell + gap)
            sheet.paste(strips[index], (x, y))
            for number, text in enumerate(captions[index]):
                pen.text((x, y + height + 2 + number * line), text, fill=INK, font=font)
        y += tall
    return sheet


def strip(clip: Clip, frames: int, height: int) -> Image.Image:
    """Evenly spaced frames of a clip side by side, its first and last among them, each `height` pixels high."""
    count = len(clip.frames)
    chosen = np.linspace(0, count - 1, min(frames, count)).round().astype(int)
    width = round(clip.frames.shape[2] / clip.frames.shape[1] * height)
    side_by_side = Image.new("RGB", (len(chosen) * (width + 2) - 2, height), PAPER)
    for place, index in enumerate(chosen):
        picture = Image.fromarray(clip.frames[index]).resize((width, height), Image.Resampling.LANCZOS)
        side_by_side.paste(picture, (place * (width + 2), 0))
    return side_by_side


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The words of a caption in lines of at most that many pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
