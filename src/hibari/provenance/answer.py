"""What `verify` answers of a file: what each technique found, and what all of it proves.

Records and their JSON alone: `verify.py` asks the techniques and weighs what they found.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hibari.media.decode import MediaInfo
from hibari.provenance.credentials.read import CredentialFinding
from hibari.provenance.fingerprint import Resemblance
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Entry
from hibari.provenance.watermark.claims import MarkFinding

Technique = Literal["metadata", "watermark", "fingerprint"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a file's watermark was looked for.

    `keys` is how many there were to look with: 0 where nothing was ever marked here. `seconds` is how long it took, and
    `clip_seconds` how much of a clip was seen (0 of a picture), of which there is more where `cut` is true. `damage`
    says what ended the reading before its end.
    """

    keys: int
    seconds: float = 0.0
    clip_seconds: float = 0.0
    cut: bool = False
    damage: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known of a file. `rests_on` are the techniques that prove it was made here: never the fingerprint.

    `id` is the one that is proven; what else the techniques name is theirs to say. `intact`: it is, byte for byte or by
    its signature, what left this house. `entry` is the ledger's, where it has one; `recovered` are the credentials that
    the ledger kept of a file that has lost its own. `compared`: there were fingerprints to compare it with;
    `comparable`: those of the proven id were among them.
    """

    file: str
    rests_on: tuple[Technique, ...]
    intact: bool
    id: GenerationId | None
    info: MediaInfo
    look: Look
    metadata: CredentialFinding
    watermark: MarkFinding
    compared: bool = False
    comparable: bool = False
    resembles: tuple[Resemblance, ...] = ()
    entry: Entry | None = None
    recovered: CredentialFinding | None = None

    @property
    def made_here(self) -> bool:
        """Whether metadata or watermark prove it."""
        return bool(self.rests_on)

    @property
    def marked_id(self) -> GenerationId | None:
        """What the watermark names."""
        mark = self.watermark
        return GenerationId(mark.id) if mark.found and mark.id is not None else None

    @property
    def told_by_file(self) -> bool:
        """Whether the file's proven credentials say more of its sources than the ledger, where they were erased."""
        return self.entry is not None and self.entry.erased_at is not None and "metadata" in self.rests_on

    @property
    def unlike(self) -> bool:
        """Whether a marked file does not look like what was recorded under its id, and could be compared with it.

        A single picture of a clip lies between the half seconds that are recorded, so it says nothing.
        """
        if self.rests_on != ("watermark",) or not self.comparable or self.entry is None:
            return False
        if self.info.kind == "still" and self.entry.delivery.frames > 1:
            return False
        return all(one.id != self.marked_id for one in self.resembles)

    @property
    def misfit(self) -> bool:
        """Whether credentials that were signed here are on a file that they were not signed for, as far as is known."""
        seen = self.metadata
        return seen.authentic and not seen.intact and (seen.id is None or seen.id != self.id)

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values, for JSON; nothing in it names a person or repeats a prompt."""
        entry, seen = self.entry, self.metadata
        proven = "metadata" in self.rests_on
        created = entry.created_at if entry else seen.created_at if proven else None
        return {
            "file": self.file,
            "made_here": self.made_here,
            "intact": self.intact,
            "id": _text(self.id),
            "rests_on": list(self.rests_on),
            "created_at": _moment(created),
            "model": entry.model if entry else (seen.model or None) if proven else None,
            "revision": entry.revision if entry else None,
            "sources": self._sources(),
            "recorded": entry is not None,
            "credentials_of_another_file": self.misfit,
            "error": None,
            "techniques": {
                "metadata": self._metadata(),
                "watermark": self._watermark(),
                "fingerprint": self._fingerprint(),
            },
        }

    def _sources(self) -> list[dict[str, Any]]:
        """What the file was made from, as the ledger says, else its proven credentials."""
        if self.entry is not None and not self.told_by_file:
            return [
                {"relationship": one.relationship, "title": one.title, "id": _text(one.own_id), "sha256": one.sha256}
                for one in self.entry.sources
            ]
        named = self.metadata.sources if "metadata" in self.rests_on else ()
        return [
            {"relationship": one.relationship, "title": one.title, "id": _text(one.id), "sha256": None} for one in named
        ]

    def _metadata(self) -> dict[str, Any]:
        seen = self.metadata
        return {
            "found": seen.found,
            "id": _text(seen.id),
            "state": seen.state,
            "signed_here": seen.authentic,
            "intact": seen.intact,
            "issuer": seen.issuer or None,
            "says": {
                "created_at": _moment(seen.created_at),
                "signed_at": _moment(seen.signed_at),
                "software": seen.software or None,
                "model": seen.model or None,
                "source_type": seen.source_type or None,
            },
            "problems": list(seen.problems),
            "recovered": self.recovered.state if self.recovered else None,
        }

    def _watermark(self) -> dict[str, Any]:
        mark, look = self.watermark, self.look
        return {
            "found": mark.found,
            "id": _text(self.marked_id),
            "exact": mark.exact,
            "z": round(mark.z, 2),
            "false_positive_rate": mark.false_positive_rate,
            "key": mark.key,
            "mirrored": mark.flipped,
            "angle": round(mark.angle, 1),
            "keys_tried": look.keys,
            "seconds_looked": round(look.seconds, 2),
            "clip_seconds_seen": round(look.clip_seconds, 2),
            "whole_clip_seen": not look.cut,
            "stopped_early": not mark.whole,
            "damage": look.damage or None,
        }

    def _fingerprint(self) -> dict[str, Any]:
        return {
            "found": bool(self.resembles),
            "compared": self.compared,
            "unlike_its_record": self.unlike,
            "id": _text(self.resembles[0].id) if self.resembles else None,
            "similar_to": [
                {"id": str(one.id), "votes": one.votes, "of": one.asked, "distance": round(one.distance, 1)}
                for one in self.resembles
            ],
        }


@dataclass(frozen=True, kw_only=True)
class NoAnswer:
    """A file that could not be asked about, in the form that answers have."""

    file: str
    error: str
    techniques: tuple[Technique, ...] = field(default=("metadata", "watermark", "fingerprint"))

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON: nothing was found, and `error` says why."""
        return {
            "file": self.file,
            "made_here": False,
            "intact": False,
            "id": None,
            "rests_on": [],
            "error": self.error,
            "techniques": {name: {"found": False, "id": None} for name in self.techniques},
        }


def _text(value: GenerationId | None) -> str | None:
    return str(value) if value is not None else None


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
