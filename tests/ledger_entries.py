"""Entries to record in tests: every field is filled with a value of its own."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from hibari.provenance.fingerprint import FrameHash
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Delivery, Entry, HeldItem, Making, Screening, Source

START = datetime(2026, 11, 22, 12, 30, 15, 250_000, UTC)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entry(number: int = 1, user: str = "ann", **changed: Any) -> Entry:
    """The entry with the id `number`, made `number` minutes after START."""
    values: dict[str, Any] = {
        "id": GenerationId(number),
        "created_at": START + timedelta(minutes=number % 1000),
        "user": user,
        "request": {"prompt": f"a lark of {user} climbs, «{number}» 雲雀", "guidance": 4.5, "image": None},
        "seed": 2**53 - number,
        "model": "tiny",
        "revision": "7",
        "weights_sha256": digest("weights"),
        "making": Making(
            device="cpu",
            dtype="float32",
            threads=2,
            latents_sha256=digest(f"latents {number}"),
            frames_sha256=digest(f"frames {number}"),
        ),
        "delivery": Delivery(
            file_sha256=digest(f"file {number}"),
            file_bytes=3_000_000_000 + number,
            mime="video/mp4",
            width=832,
            height=480,
            fps=23.976,
            frames=97,
        ),
        "watermark_key": "2026-11",
        "manifest": b"\x00\xffjumb" + bytes([number % 256]),
        "timestamped": True,
        "sources": (
            Source(
                sha256=digest("picture"),
                relationship="inputTo",
                mime="image/png",
                title=f"{user}s garden.png",
                consent={"attested": True, "by": user},
            ),
            Source(
                sha256=digest("clip"),
                relationship="parentOf",
                mime="video/mp4",
                title="before.mp4",
                own_id=GenerationId(2**48 - 1),
            ),
        ),
        "screenings": (
            Screening(stage="prompt", action="allow", categories={"hate": 0.25}, reason=f"nothing in {user}s words"),
            Screening(stage="frames", action="allow", categories={}, reason="clean", advice="none"),
        ),
    }
    return Entry(**values | changed)


def held_item(number: int = 1, user: str = "ann", **changed: Any) -> HeldItem:
    """The place in the queue of the entry with that number."""
    values: dict[str, Any] = {
        "id": GenerationId(number),
        "created_at": START + timedelta(minutes=number),
        "user": user,
        "stage": "frames",
        "request": {"prompt": f"held words of {user}"},
        "categories": {"graphic_violence": 0.75},
        "reason": f"a frame of {user} is over the threshold",
        "file": f"held/{number}.mp4",
    }
    return HeldItem(**values | changed)


def frame_hash(byte: int, seconds: float = 0.0, left_out: str = "") -> FrameHash:
    """A hash whose 32 bytes are alike."""
    return FrameHash(
        seconds=seconds, bits=bytes([byte] * 32), mirrored=bytes([byte ^ 0x55] * 32), quality=90, left_out=left_out
    )
