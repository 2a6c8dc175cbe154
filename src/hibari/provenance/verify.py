"""Was this file made here? Three techniques are asked, and the answer says which of them it rests on.

Metadata: the file's own Content Credentials. Watermark: what its pixels carry, also in a copy that was re-encoded,
cut or stripped, or in one screenshot of it. Fingerprint: what it looks like, which never proves anything. Frames are
decoded in a child process with limits; nothing is written, and no keys are made.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hibari.config import Settings
from hibari.media.decode import DEFAULT, Limits, MediaInfo, reading
from hibari.provenance.credentials.anchors import Anchors
from hibari.provenance.credentials.read import CredentialFinding, read
from hibari.provenance.fingerprint import FingerprintIndex, Resemblance, hashes_of
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Entry, Ledger
from hibari.provenance.places import CREDENTIALS, INDEX, KEYS, ledger_url
from hibari.provenance.watermark.keys import KeyRing
from hibari.store import Store

if TYPE_CHECKING:
    from hibari.media.fit import Frame
    from hibari.provenance.watermark.claims import MarkFinding

MOST_FRAMES = 100_000
LOOKED_AT_S = 10.0  # seconds given to the watermark's search
HASHED_A_SECOND = 2
HASHED_AT_MOST = 240  # frames whose fingerprint is taken
MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known of a file. `made_here` rests on metadata or watermark alone; `intact` says it is as it was signed.

    `entry` is the ledger's, where it has one; `recovered` are the credentials that the ledger kept of a file that has
    lost its own.
    """

    file: str
    made_here: bool
    intact: bool
    id: GenerationId | None
    info: MediaInfo
    metadata: CredentialFinding
    watermark: "MarkFinding"
    resembles: tuple[Resemblance, ...]
    entry: Entry | None
    recovered: CredentialFinding | None

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values, for JSON; nothing in it names a person or repeats a prompt."""
        entry, mark, seen = self.entry, self.watermark, self.metadata
        mark_id = GenerationId(mark.id) if mark.found and mark.id is not None else None
        return {
            "file": self.file,
            "made_here": self.made_here,
            "intact": self.intact,
            "id": _text(self.id),
            "created_at": entry.created_at.isoformat() if entry else _moment(seen.created_at),
            "model": entry.model if entry else (seen.model or None),
            "revision": entry.revision if entry else None,
            "sources": [
                {"relationship": source.relationship, "title": source.title, "sha256": source.sha256}
                for source in (entry.sources if entry else ())
            ],
            "recorded": entry is not None,
            "techniques": {
                "metadata": {
                    "found": seen.found,
                    "id": _text(seen.id),
                    "state": seen.state,
                    "signed_here": seen.authentic,
                    "intact": seen.intact,
                    "issuer": seen.issuer or None,
                    "problems": list(seen.problems),
                    "recovered": self.recovered.state if self.recovered else None,
                },
                "watermark": {
                    "found": mark.found,
                    "id": _text(mark_id),
                    "exact": mark.exact,
                    "z": round(mark.z, 2),
                    "false_positive_rate": mark.false_positive_rate,
                    "key": mark.key,
                },
                "fingerprint": {
                    "found": bool(self.resembles),
                    "id": _text(self.resembles[0].id) if self.resembles else None,
                    "similar_to": [
                        {"id": str(one.id), "votes": one.votes, "of": one.asked, "distance": round(one.distance, 1)}
                        for one in self.resembles
                    ],
                },
            },
        }


@dataclass
class Verifier:
    """What answers: the keys, certificates and records of an installation."""

    anchors: Anchors
    keys: KeyRing
    ledger: Ledger
    index: FingerprintIndex
    limits: Limits = field(default_factory=lambda: DEFAULT)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The verifier of the data folder's installation; raises what is wrong with it."""
        home = settings.ensure_home()
        store = Store.open(ledger_url(settings))
        return cls(
            anchors=Anchors.load(home / CREDENTIALS),
            keys=KeyRing.open(home / KEYS),
            ledger=Ledger(store, home / INDEX),
            index=FingerprintIndex.open(store, home / INDEX),
        )

    def verify(self, path: Path) -> Answer:
        """Ask all three techniques about a file; raises BadMedia where it cannot be read."""
        from hibari.provenance.watermark.search import find_mark

        kept: list[Frame] = []
        with reading(path, MOST_FRAMES, self.limits) as (info, frames):
            fps = info.fps or 1.0
            mark = find_mark(
                _keeping(frames, fps, kept), fps, self.keys.all(), self.ledger.issued_ids(), seconds_limit=LOOKED_AT_S
            )
        mime = sniff(path)
        seen = read(path, mime, self.anchors) if mime else CredentialFinding(state="none")
        resembles = tuple(self.index.search(hashes_of(kept, HASHED_A_SECOND)))
        marked = GenerationId(mark.id) if mark.found and mark.id is not None else None
        own = seen.id if seen.authentic else None
        claimed = own or marked
        entry = self.ledger.find(claimed) if claimed is not None else None
        recovered = None
        if entry is not None and not seen.found and mime:
            recovered = read(path, mime, self.anchors, entry.manifest)
        return Answer(
            file=str(path),
            made_here=own is not None or mark.found,
            intact=self._intact(path, seen, entry),
            id=claimed,
            info=info,
            metadata=seen,
            watermark=mark,
            resembles=resembles,
            entry=entry,
            recovered=recovered,
        )

    def _intact(self, path: Path, seen: CredentialFinding, entry: Entry | None) -> bool:
        """Whether the file is, byte for byte, what was signed here."""
        if seen.authentic and seen.intact:
            return True
        if entry is None:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.delivery.file_sha256


def sniff(path: Path) -> str:
    """The type of a file by its first bytes, of those that can carry credentials; empty for others."""
    with path.open("rb") as file:
        head = file.read(16)
    for magic, mime in MAGIC.items():
        if head.startswith(magic):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    return ""


def _keeping(frames: "Iterator[Frame]", fps: float, kept: "list[Frame]") -> "Iterator[Frame]":
    """The frames as they are, one each half second put aside for the fingerprint."""
    for index, frame in enumerate(frames):
        if len(kept) < HASHED_AT_MOST and index >= round(len(kept) * fps / HASHED_A_SECOND):
            kept.append(frame)
        yield frame


def _text(value: GenerationId | None) -> str | None:
    return str(value) if value is not None else None


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
