"""Building the sprite pack out of the npm tarballs: crop, reduce to 96 pixels and 12 frames a second, name, store."""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

from hibari.errors import HibariError
from hibari.worlds import naming
from hibari.worlds.pack import CELL, Entry, SpritePack, encode, write
from hibari.worlds.sources import ANIMATED, NAMES, NOTICE, STATIC, fetch_tarballs, find_tarballs

MAX_FRAMES = 50  # the longest loop is 97 frames at 24 a second
FAINT = 24  # alpha below this does not widen the crop
TONES = ("", "light", "medium-light", "medium", "medium-dark", "dark")


def build_pack(
    tarballs: Path, target: Path, *, download: bool = False, on_progress: Callable[[int, str], None] | None = None
) -> SpritePack:
    """Build the whole pack in `target` from the folder `tarballs`, which `download` fills through npm first.

    `on_progress(done, name)` is called for every sprite. Raises MissingDependency where a tarball is absent and
    HibariError where one is not what it should be.
    """
    paths = (fetch_tarballs if download else find_tarballs)(tarballs)
    records = _records(paths[NAMES])
    entries: dict[str, Entry] = {}
    strips: dict[str, bytes] = {}
    # The animated packages hold a still for what has no animation; the static package only fills what is left.
    for source in (*ANIMATED, STATIC):
        for code, data in _pictures(paths[source]):
            record = records.get(code)
            if record is None or record["name"] in entries:
                continue
            frames = reduce(data)
            name, (width, height) = record["name"], frames[0].size
            strips[name] = encode(frames)
            entries[name] = Entry(**record, frames=len(frames), width=width, height=height, offset=0, length=0)
            if on_progress:
                on_progress(len(entries), name)
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


def _records(tarball: Path) -> dict[str, dict[str, object]]:
    """The naming fields of an Entry for every emoji, by plain code point name."""
    with tarfile.open(tarball) as archive:
        emoji = _member(archive, "package/en/data.json")
        groups = {g["order"]: g["key"] for g in _member(archive, "package/en/messages.json")["groups"]}
    found: dict[str, dict[str, object]] = {}
    taken: set[str] = set()
    for item in emoji:
        for variant in (item, *item.get("skins", ())):
            tone = variant.get("tone", 0)
            name = naming.name_of(variant["label"])
            name = variant["label"] if name in taken else name
            taken.add(name)
            found[_plain(variant["hexcode"])] = {
                "name": name,
                "label": variant["label"],
                "code": _plain(variant["hexcode"]),
                "group": groups.get(item.get("group"), ""),
                "tone": "+".join(TONES[t] for t in (tone if isinstance(tone, list) else [tone])),
                "tags": tuple(item.get("tags", ())),
            }
    return found


def _member(archive: tarfile.TarFile, name: str):  # type: ignore[no-untyped-def]
    try:
        file = archive.extractfile(name)
    except KeyError as error:
        raise HibariError(f"{archive.name} holds no {name}.", hint="Download the tarball again.") from error
    assert file is not None, name
    return json.load(file)
