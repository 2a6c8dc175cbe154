"""Previews: one small frame of a clip while it is made, for whoever waits. Screened and marked like the clip itself.

They are no files of record: not signed, not fingerprinted, and gone with the job. Where the screen does not let one
pass, or cannot say, none is to be seen any more.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hibari.errors import Refused
from hibari.media.files import beside
from hibari.produce.brought import thumbnail

if TYPE_CHECKING:
    from torch import Tensor

    from hibari.media.fit import Frame
    from hibari.produce.passage import Passage


@dataclass(frozen=True, kw_only=True)
class Previews:
    """That previews are wanted: into which WebP file, how many seconds apart at least, and who is told.

    `tell(True)` says that the file holds a new one, `tell(False)` that none is to be shown any more.
    """

    path: Path
    tell: Callable[[bool], None]
    every_s: float = 3.0


@dataclass(kw_only=True)
class Previewer:
    """What makes them, of the estimates that the generator hands out; `decode` turns a latent into frames."""

    wanted: Previews
    passage: "Passage"
    decode: "Callable[[Tensor], Iterator[Frame]]"
    _next_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._next_at = time.monotonic() + self.wanted.every_s

    def __call__(self, estimate_CTHW: "Tensor") -> None:
        """Show the middle frame of a clean estimate (C,T,H,W), where it is time for one."""
        if time.monotonic() < self._next_at:
            return
        with self.passage.watch("preview"):
            middle = estimate_CTHW.shape[1] // 2
            frame = next(self.decode(estimate_CTHW[:, middle : middle + 1]))
            self.wanted.tell(write_preview(self.passage, frame, self.wanted.path))
        self._next_at = time.monotonic() + self.wanted.every_s


def write_preview(passage: "Passage", frame: "Frame", path: Path) -> bool:
    """Screen a rendered frame, and write it small, labelled and marked; whether the screen lets it be seen.

    Raises OutputError, and leaves the file as it was.
    """
    from hibari.media.encode import write_still
    from hibari.media.fit import fit
    from hibari.provenance.watermark.marker import Marker

    door = passage.door
    small = thumbnail(fit(frame, *passage.job.plan.delivered))
    try:
        verdict = door.frames.screen(small[None])
    except Refused:  # a screen that cannot say allows nothing
        return False
    if not verdict.allowed:
        return False
    if door.label is not None:
        small = door.label.draw(small)
    marker = Marker(door.house.current_key(), passage.id.value, small.shape[0], small.shape[1])
    label = passage.metadata_label
    with beside(path, private=True) as partial:
        write_still(partial, marker.mark(small[None])[0], "WEBP", xmp=label.xmp() if label else "")
    return True
