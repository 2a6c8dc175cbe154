"""The pictures that stand for a clip: its thumbnail, and a sheet of its frames. They leave by the door like any sheet.

Both are made of the delivered file, so they show what left here and nothing else.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hibari.media.child import DEFAULT
from hibari.produce.passage import HeldPlace
from hibari.produce.record import Record
from hibari.produce.road import Hibari
from hibari.produce.sheet import publish_sheet

if TYPE_CHECKING:
    from PIL import Image

COLUMNS, CELLS = 4, 16
CELL_WIDTH = 320  # pixels


def publish_stills(
    hibari: Hibari,
    record: Record,
    *,
    thumbnail: Path,
    spritesheet: Path,
    user: str | None = None,
    held_place: HeldPlace | None = None,
    seen: bool = False,
) -> tuple[Record, Record]:
    """Deliver a clip's first frame, and frames of it from first to last in rows of four.

    Each shows the clip's own labels and gets no other. It is marked, signed and recorded under an id of its own, as
    `user`'s, with the clip as its component. Raises as `publish_sheet` does, which also says what `held_place` and
    `seen` are.
    """
    import numpy as np
    from PIL import Image

    wanted = spread(record.plan.frames)
    frames = dict(zip(wanted, _frames(record, wanted), strict=True))
    parts = [np.asarray(frame) for frame in frames.values()]
    publish = partial(publish_sheet, hibari, user=user, held_place=held_place, seen=seen)
    first = publish(frames[0], [record], thumbnail, parts=parts[:1])
    columns = min(COLUMNS, len(wanted))
    width = min(CELL_WIDTH, frames[0].width)
    height = round(frames[0].height * width / frames[0].width)
    sheet = Image.new("RGB", (columns * width, -(-len(wanted) // columns) * height))
    for place, index in enumerate(wanted):
        cell = frames[index].resize((width, height), Image.Resampling.BOX)
        sheet.paste(cell, (place % columns * width, place // columns * height))
    return first, publish(sheet, [record], spritesheet, parts=parts)


def spread(count: int) -> list[int]:
    """At most CELLS of so many frames, evenly, the first and the last among them."""
    cells = min(CELLS, count)
    return sorted({place * (count - 1) // max(1, cells - 1) for place in range(cells)})


def _frames(record: Record, indices: list[int]) -> "Iterator[Image.Image]":
    from PIL import Image

    from hibari.media import reader

    wanted = set(indices)
    # Read in this process, since the file is our own: it was written here a moment ago.
    _, frames = reader.read_video(record.path, DEFAULT.pixels, None)
    for index, frame in enumerate(frames):
        if index in wanted:
            yield Image.fromarray(frame)
