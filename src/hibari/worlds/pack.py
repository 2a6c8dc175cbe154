"""The sprite pack: small animated pictures with alpha, and their names, in one compact folder.

`index.json` lists the sprites, `sprites.bin` holds one WebP strip for each (its frames side by side), `NOTICE.txt` the
licence of the pictures. Only the sprites that are asked for are decoded. How a pack is made is build.py's business.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from hibari.errors import HibariError, MissingDependency
from hibari.worlds.looks import Look, looks_of

FORMAT = 1
FPS = 12
CELL = 96
KEPT = 600  # decoded sprites, of 2 to 4 MB each: the whole pack would be 8 GB in every process that draws
MARGIN = 12  # transparent pixels round every frame, so that a resampling window never leaves the picture

STARTER_PACK = Path(__file__).parent / "starter"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One sprite in a pack: what it is called, and where its strip lies in sprites.bin (bytes)."""

    name: str
    label: str
    code: str
    group: str
    tone: str
    tags: tuple[str, ...]
    frames: int
    width: int
    height: int
    offset: int
    length: int


@dataclass(frozen=True)
class Sprite:
    """A named animation at 12 frames a second: `strip` is `(N, h, w, 4)` premultiplied RGBA uint8, MARGIN included."""

    name: str
    strip: np.ndarray

    @property
    def num_frames(self) -> int:
        return len(self.strip)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in source pixels, without the margin."""
        _, height, width, _ = self.strip.shape
        return width - 2 * MARGIN, height - 2 * MARGIN

    @cached_property
    def frames(self) -> tuple[Image.Image, ...]:
        """The frames as Pillow pictures of mode RGBa."""
        height, width = self.strip.shape[1:3]
        return tuple(Image.frombytes("RGBa", (width, height), frame.tobytes()) for frame in self.strip)


class SpritePack:
    """A folder of sprites by name; decoded when first asked for, and the KEPT newest ones kept."""

    def __init__(self, folder: Path, entries: Sequence[Entry]) -> None:
        self.folder = folder
        self.entries = {entry.name: entry for entry in entries}
        self._sprites: dict[str, Sprite] = {}

    @classmethod
    def load(cls, folder: Path | str = STARTER_PACK) -> "SpritePack":
        """Open the pack in `folder` (the 24 sprites that come with Hibari by default) without decoding it."""
        folder = Path(folder)
        index = folder / "index.json"
        if not index.is_file() or not (folder / "sprites.bin").is_file():
            raise MissingDependency(f"{folder} is not a sprite pack.", hint="Build one with: hibari worlds build")
        try:
            document = json.loads(index.read_text(encoding="utf-8"))
            if document["format"] != FORMAT:
                raise HibariError(f"{index} has format {document['format']}, not {FORMAT}.", hint="Build it again.")
            entries = [Entry(**{**item, "tags": tuple(item["tags"])}) for item in document["sprites"]]
        except (ValueError, KeyError, TypeError) as error:
            raise HibariError(f"{index} cannot be read: {error}.", hint="Build the pack again.") from error
        if sum(entry.length for entry in entries) != (folder / "sprites.bin").stat().st_size:
            raise HibariError(f"{folder / 'sprites.bin'} is truncated.", hint="Build the pack again.")
        return cls(folder, entries)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.entries)

    @cached_property
    def looks(self) -> dict[str, tuple[Look, ...]]:
        """The kinds that come in several looks, by name, with their looks."""
        return looks_of(self.entries.values())

    def sprite(self, name: str) -> Sprite:
        """The sprite of that name; raises HibariError where the pack has none."""
        if name not in self._sprites:
            if name not in self.entries:
                near = get_close_matches(name, self.entries, 3, 0.0)
                raise HibariError(
                    f'The sprite pack {self.folder} has no "{name}" among its {len(self.entries)} sprites.',
                    hint=f"Near to it: {', '.join(near)}.",
                )
            if len(self._sprites) >= KEPT:
                del self._sprites[next(iter(self._sprites))]
            self._sprites[name] = Sprite(name, decode(self._read(self.entries[name]), self.entries[name].frames))
        return self._sprites[name]

    def export(self, names: Iterable[str], folder: Path) -> "SpritePack":
        """Write the named sprites as a pack of their own, byte for byte, notice included."""
        wanted = [self.entries[name] for name in names]
        strips = {entry.name: self._read(entry) for entry in wanted}
        return write(folder, wanted, strips, (self.folder / "NOTICE.txt").read_text(encoding="utf-8"))

    def _read(self, entry: Entry) -> bytes:
        with (self.folder / "sprites.bin").open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.length)


def write(folder: Path, entries: Iterable[Entry], strips: Mapping[str, bytes], notice: str) -> SpritePack:
    """Write a pack; the offsets and lengths of the entries are set from the strips."""
    folder.mkdir(parents=True, exist_ok=True)
    placed, offset = [], 0
    with (folder / "sprites.bin").open("wb") as file:
        for entry in entries:
            strip = strips[entry.name]
            placed.append({**asdict(entry), "offset": offset, "length": len(strip)})
            offset += file.write(strip)
    rows = ",\n".join(json.dumps(item, ensure_ascii=False) for item in placed)
    text = f'{{"format": {FORMAT}, "fps": {FPS}, "sprites": [\n{rows}\n]}}\n'
    (folder / "index.json").write_text(text, encoding="utf-8")
    (folder / "NOTICE.txt").write_text(notice, encoding="utf-8")
    return SpritePack.load(folder)


def encode(frames: Sequence[Image.Image]) -> bytes:
    """One WebP strip of equally large RGBA frames, side by side."""
    width, height = frames[0].size
    strip = Image.new("RGBA", (width * len(frames), height))
    for index, frame in enumerate(frames):
        strip.paste(frame, (index * width, 0))
    file = BytesIO()
    strip.save(file, "WEBP", quality=75, alpha_quality=75, method=6)
    return file.getvalue()


def decode(data: bytes, num_frames: int) -> np.ndarray:
    """The frames of a WebP strip, `(N, h, w, 4)` premultiplied uint8 with MARGIN transparent pixels on every side."""
    with Image.open(BytesIO(data)) as picture:
        strip = np.asarray(picture.convert("RGBA").convert("RGBa"))
    height, width = strip.shape[0], strip.shape[1] // num_frames
    frames = strip.reshape(height, num_frames, width, 4).swapaxes(0, 1)
    return np.pad(frames, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
