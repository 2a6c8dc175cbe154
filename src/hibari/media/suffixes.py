"""Which files Hibari can write, by suffix. The one table of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hibari.errors import BadMedia


@dataclass(frozen=True, kw_only=True)
class Format:
    """One kind of file: a video or a still, and what its encoder calls it."""

    kind: Literal["video", "still"]
    encoder: str
    mime: str


FORMATS = {
    ".mp4": Format(kind="video", encoder="mp4", mime="video/mp4"),
    ".png": Format(kind="still", encoder="PNG", mime="image/png"),
    ".webp": Format(kind="still", encoder="WEBP", mime="image/webp"),
    ".jpg": Format(kind="still", encoder="JPEG", mime="image/jpeg"),
    ".jpeg": Format(kind="still", encoder="JPEG", mime="image/jpeg"),
}


def format_of(path: Path) -> Format:
    """The format that a file's suffix names; raises BadMedia for one that cannot be written."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        what = f"cannot write {path.suffix} files" if path.suffix else f"{path.name!r} has no suffix"
        stills = ", ".join(suffix for suffix, form in FORMATS.items() if form.kind == "still")
        raise BadMedia(f"{what}.", option="output", hint=f"Allowed: .mp4 for a video; {stills} for a picture.")
    return found
