"""The records of the ledger: one entry for each generation, and what belongs to it. No database here."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from hibari.provenance.ids import GenerationId

Relationship = Literal["inputTo", "parentOf", "componentOf"]
Action = Literal["allow", "hold", "refuse"]
State = Literal["delivered", "held", "refused"]
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Making:
    """What computed the frames, and the digests that a replay must meet: of latents, and of frames before marking."""

    device: str
    dtype: str
    threads: int
    latents_sha256: str
    frames_sha256: str

    def __post_init__(self) -> None:
        _check_digests(self.latents_sha256, self.frames_sha256)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The file that left the house: its digest and bytes, its pixels, its frames (1 for a picture, at 0 a second)."""

    file_sha256: str
    file_bytes: int
    mime: str
    width: int
    height: int
    fps: float
    frames: int

    def __post_init__(self) -> None:
        _check_digests(self.file_sha256)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that a generation started from. `own_id` where it is one of ours; `consent` as its owner attested it."""

    sha256: str
    relationship: Relationship
    mime: str
    title: str
    own_id: GenerationId | None = None
    consent: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_digests(self.sha256)
        assert self.relationship in get_args(Relationship), self.relationship


@dataclass(frozen=True, kw_only=True)
class Screening:
    """What the safety policy said at one stage: "prompt", "upload" or "frames"."""

    stage: str
    action: Action
    categories: dict[str, float]
    reason: str
    advice: str = ""

    def __post_init__(self) -> None:
        assert self.action in get_args(Action), self.action


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A generation, as it is recorded.

    `user`, `request` and `seed` are given at recording, and None once the user's data was erased, at `erased_at`. Where
    the request repeats that of another person who was erased, the user stays.
    """

    id: GenerationId
    created_at: datetime
    user: str | None
    request: dict[str, Any] | None
    seed: int | None
    model: str
    revision: str
    weights_sha256: str
    making: Making
    delivery: Delivery
    watermark_key: str
    manifest: bytes
    timestamped: bool = False
    sources: tuple[Source, ...] = ()
    screenings: tuple[Screening, ...] = ()
    replay_of: GenerationId | None = None
    state: State = "delivered"
    erased_at: datetime | None = None

    def __post_init__(self) -> None:
        assert self.created_at.tzinfo is not None, "a moment names its zone"
        assert self.state in get_args(State), self.state
        assert self.erased_at is not None or (self.user and self.request is not None and self.seed is not None)
        assert self.manifest and self.watermark_key and self.model and self.revision, "what verify needs is there"
        _check_digests(self.weights_sha256)

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain values, for JSON; the manifest only by its length."""
        made, file = self.making, self.delivery
        return {
            "id": str(self.id),
            "created_at": self.created_at.isoformat(),
            "state": self.state,
            "user": self.user,
            "request": self.request,
            "seed": self.seed,
            "model": self.model,
            "revision": self.revision,
            "weights_sha256": self.weights_sha256,
            "device": made.device,
            "dtype": made.dtype,
            "threads": made.threads,
            "latents_sha256": made.latents_sha256,
            "frames_sha256": made.frames_sha256,
            "file_sha256": file.file_sha256,
            "file_bytes": file.file_bytes,
            "mime": file.mime,
            "size": f"{file.width}x{file.height}",
            "fps": file.fps,
            "frames": file.frames,
            "watermark_key": self.watermark_key,
            "manifest_bytes": len(self.manifest),
            "timestamped": self.timestamped,
            "sources": [source_as_dict(source) for source in self.sources],
            "screenings": [vars(screening).copy() for screening in self.screenings],
            "replay_of": str(self.replay_of) if self.replay_of else None,
            "erased_at": self.erased_at.isoformat() if self.erased_at else None,
        }


def source_as_dict(source: Source) -> dict[str, Any]:
    """A source as plain values, for JSON."""
    return vars(source) | {"own_id": str(source.own_id) if source.own_id else None}


def _check_digests(*digests: str) -> None:
    for digest in digests:
        assert _SHA256.fullmatch(digest), f"{digest!r} is no sha256"
