"""An installation that has made a clip and a picture of 480x320: marked, signed, fingerprinted, recorded.

Made of the same parts as the door's, without a model: the frames are a rendered scene. About 3 seconds, of which torch
takes one.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hibari.config import Settings
from hibari.media.encode import write_still, write_video
from hibari.media.fit import fit
from hibari.provenance.credentials.authority import Authority
from hibari.provenance.credentials.manifest import WATERMARK_ALGORITHM, Origin, Software
from hibari.provenance.credentials.sign import sign
from hibari.provenance.fingerprint import hashes_of
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Delivery, Ledger
from hibari.provenance.places import CREDENTIALS, INDEX, KEYS, ledger_url
from hibari.provenance.watermark.keys import KeyRing
from hibari.provenance.watermark.marker import Marker
from hibari.shapes import VideoShape
from hibari.store import Store
from hibari.worlds import World
from ledger_entries import START, entry

FPS, WIDTH, HEIGHT = 8, 480, 320
CLIP_ID, PICTURE_ID = GenerationId(0x123456789ABC), GenerationId(0x0F1E2D3C4B5A)


@dataclass(frozen=True, kw_only=True)
class House:
    """`plain` are the frames before marking, `marked` after it (uint8 (8, 320, 480, 3))."""

    settings: Settings
    clip: Path
    picture: Path
    plain: np.ndarray
    marked: np.ndarray
    marked_picture: np.ndarray


def scene(number: int, frames: int = 8) -> np.ndarray:
    """A rendered scene of that size."""
    rendered = World().scene(number, VideoShape(frames, 112, 168)).render()
    return np.stack([fit(frame, WIDTH, HEIGHT) for frame in rendered])


def build(folder: Path) -> House:
    """The installation in `folder`/home, its two files in `folder`."""
    settings = Settings(home=folder / "home")
    settings.ensure_home()
    key = KeyRing.open(settings.home / KEYS).current()
    plain = scene(3)
    marked = Marker(key, CLIP_ID.value, HEIGHT, WIDTH).mark(plain)
    picture = Marker(key, PICTURE_ID.value, HEIGHT, WIDTH).mark(plain[:1])[0]
    write_video(folder / "unsigned.mp4", marked, FPS)
    write_still(folder / "unsigned.png", picture, "PNG")
    authority = Authority.open(settings.home / CREDENTIALS, organisation="Studio Hibari")
    with Store.open(ledger_url(settings)) as store:
        ledger = Ledger(store, settings.home / INDEX)
        for name, number, mime, frames in (
            ("clip.mp4", CLIP_ID, "video/mp4", 8),
            ("picture.png", PICTURE_ID, "image/png", 1),
        ):
            path = folder / name
            origin = Origin(
                id=number,
                created_at=START,
                action="created",
                software=Software(name="Hibari", version="0.1.0"),
                model="tiny",
                revision="7",
                watermark=WATERMARK_ALGORITHM,
                seconds=1.0 if frames > 1 else 0.0,
            )
            signed = sign(authority, origin, folder / f"unsigned{path.suffix}", path, mime)
            delivery = Delivery(
                file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                file_bytes=path.stat().st_size,
                mime=mime,
                width=WIDTH,
                height=HEIGHT,
                fps=float(FPS) if frames > 1 else 0.0,
                frames=frames,
            )
            changed = {"watermark_key": key.name, "created_at": START, "manifest": signed.manifest}
            if frames == 1:
                changed["sources"] = ()
            ledger.record(
                entry(number.value, **changed, delivery=delivery), hashes_of(plain, FPS) if frames > 1 else ()
            )
    return House(
        settings=settings,
        clip=folder / "clip.mp4",
        picture=folder / "picture.png",
        plain=plain,
        marked=marked,
        marked_picture=picture,
    )


def credentials_onto(giver: Path, taker: Path, *, damaged: bool = False) -> None:
    """Put the credentials of one PNG into another, as anybody can."""
    chunks = [chunk for chunk in _chunks(giver.read_bytes()) if chunk[4:8] == b"caBX"]
    assert chunks, "the giver has credentials"
    if damaged:
        bodies = [chunk[4:-4].replace(b"jumd", b"jmud") for chunk in chunks]
        chunks = [struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in bodies]
    data = taker.read_bytes()
    head = 8 + 25  # the magic and IHDR
    taker.write_bytes(data[:head] + b"".join(chunks) + data[head:])


def _chunks(png: bytes) -> Iterator[bytes]:
    start = 8
    while start < len(png):
        (length,) = struct.unpack(">I", png[start : start + 4])
        yield png[start : start + length + 12]
        start += length + 12
