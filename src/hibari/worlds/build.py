"""Building the sprite pack out of the npm tarballs: crop, reduce to 96 pixels and 12 frames a second, name, store."""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from hibari.errors import HibariError
from hibari.worlds import naming
from hibari.worlds.pack import CELL, Entry, SpritePack, encode, write
from hibari.worlds.sources import ANIMATED, NAMES, NOTICE, STATIC, fetch_tarballs, find_tarballs, shown

MAX_FRAMES = 50  # the longest loop is 97 frames at 24 a second
FAINT = 24  # alpha below this does not widen the crop
TONES = ("", "light", "medium-light", "medium", "medium-dark", "dark")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What emojibase knows of one emoji."""

    name: str
    label: str
    code: str
    group: str
    tone: str
    tags: tuple[str, ...]


def build_pack(
    tarballs: Path, target: Path, *, download: bool = False, on_progress: Callable[[int, str], None] | None = None
) -> SpritePack:
    """Build the whole pack in `target` from the folder `tarballs`, which `download` fills through npm first.

    `on_progress(done, name)` is called for every sprite. Raises MissingDependency where a tarball is absent and
    HibariError where one is not what it should be.
    """
    paths = (fetch_tarballs if download else find_tarballs)(tarballs)
    # The animated packages hold a still for what has no animation; the static package only fills what is left.
    pictures = [paths[source] for source in (*ANIMATED, STATIC)]
    return assemble(pictures, paths[NAMES], target, on_progress=on_progress)


def assemble(
    pictures: Sequence[Path], names: Path, target: Path, *, on_progress: Callable[[int, str], None] | None = None
) -> SpritePack:
    """Write the pack of tarballs of pictures, the first that has a thing winning, named by the tarball `names`."""
    records = _records(names)
    entries: dict[str, Entry] = {}
    strips: dict[str, bytes] = {}
    for tarball in pictures:
        for code, data in _pictures(tarball):
            record = records.get(shown(code))
            if record is None or record.name in entries:
                continue
            frames = reduce(data)
            width, height = frames[0].size
            strips[record.name] = encode(frames)
            entries[record.name] = Entry(
                **vars(record), frames=len(frames), width=width, height=height, offset=0, length=0
            )
            if on_progress:
                on_progress(len(entries), record.name)
    ordered = sorted(entries.values(), key=lambda entry: entry.code)
    return write(target, ordered, strips, NOTICE)


def reduce(data: bytes) -> list[Image.Image]:
    """Every second frame of an animated picture, cropped to what is ever visible, its longer side CELL pixels."""
    with Image.open(BytesIO(data)) as picture:
        count = getattr(picture, "n_frames", 1)
        kept = []
        for index in range(0, min(count, 2 * MAX_FRAMES), 2):
            picture.seek(index)
            kept.append(picture.convert("RGBA").convert("RGBa"))
    box = _visible(kept)
    scale = CELL / max(box[2] - box[0], box[3] - box[1])
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    return [frame.resize(size, Image.Resampling.HAMMING, box=box).convert("RGBA") for frame in kept]


def _visible(frames: Iterable[Image.Image]) -> tuple[int, int, int, int]:
    """The box that holds the visible part of every frame."""
    boxes = [frame.getchannel("a").point(lambda alpha: 255 * (alpha >= FAINT)).getbbox() for frame in frames]
    left, top, right, bottom = zip(*[box for box in boxes if box], strict=True)
    return min(left), min(top), max(right), max(bottom)


def _pictures(tarball: Path) -> Iterator[tuple[str, bytes]]:
    """Code point name (without variation selectors) and bytes of every picture in a tarball."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            path = Path(member.name)
            file = archive.extractfile(member) if path.suffix == ".webp" else None
            if file is not None:
                yield _plain(path.stem), file.read()


def _plain(code: str) -> str:
    return "-".join(part.zfill(4) for part in code.lower().split("-") if part != "fe0f")


def _records(tarball: Path) -> dict[str, Record]:
    """The record of every emoji, by plain code point name."""
    with tarfile.open(tarball) as archive:
        emoji = _member(archive, tarball, "package/en/data.json")
        groups = {g["order"]: g["key"] for g in _member(archive, tarball, "package/en/messages.json")["groups"]}
    found: dict[str, Record] = {}
    taken: set[str] = set()
    for item in emoji:
        for variant in (item, *item.get("skins", ())):
            tone = variant.get("tone", 0)
            name = naming.name_of(variant["label"])
            name = variant["label"] if name in taken else name
            taken.add(name)
            code = _plain(variant["hexcode"])
            found[code] = Record(
                name=name,
                label=variant["label"],
                code=code,
                group=groups.get(item.get("group"), ""),
                tone="+".join(TONES[t] for t in (tone if isinstance(tone, list) else [tone])),
                tags=tuple(item.get("tags", ())),
            )
    return found


def _member(archive: tarfile.TarFile, tarball: Path, name: str) -> Any:
    """The JSON document of that name in a tarball."""
    try:
        file = archive.extractfile(name)
    except KeyError as error:
        raise HibariError(f"{tarball} holds no {name}.", hint="Download the tarball again.") from error
    assert file is not None, name
    return json.load(file)
