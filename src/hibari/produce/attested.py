"""What a person brought, at the door: screened before it is used, attested, and named in what is recorded and signed.

A file that left here itself is known by its digest. Where it goes back to nobody's pictures, the faces in it are
invented ones; where somebody attested those that it goes back to, that statement holds on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hibari.errors import Refused
from hibari.produce.brought import Brought
from hibari.produce.door import Door
from hibari.provenance.credentials.manifest import Source as SignedSource
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Entry, Source
from hibari.safety import Verdict
from hibari.safety.uploads import Attestation, AttestationRecord, UploadScreen

if TYPE_CHECKING:
    from hibari.provenance.fingerprint import FrameHash

KEPT_A_SECOND = 2  # frames, for the fingerprint


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What was stated with a request: about whom, by whom, when; a replay rests on that of the `first` generation."""

    about: str | None
    user: str
    at: datetime
    first: GenerationId | None = None


@dataclass
class Attested:
    """The files of one request on its way through the door."""

    door: Door
    files: tuple[Brought, ...]
    statement: Statement
    _records: dict[int, AttestationRecord] = field(default_factory=dict)

    def verdicts(self) -> Iterator[tuple[str, Verdict]]:
        """The verdict on each file, with the option that named it; raises BadMedia, Refused."""
        for place, file in enumerate(self.files):
            file.check()
            yield file.option, self._verdict(place, file)

    @property
    def show_minors(self) -> bool:
        """Whether somebody states that a minor is shown, with this request or when a file was made here."""
        stated = [self._stated(place) for place in range(len(self.files))]
        return any(each is not None and each.about == "minors" for each in stated)

    def digests(self) -> list[str]:
        """The digests of the files, in order; raises BadMedia where one has changed."""
        for file in self.files:
            file.check()
        return [file.sha256 for file in self.files]

    def signed(self) -> tuple[SignedSource, ...]:
        """The files as credentials name them; raises BadMedia where one has changed."""
        self.digests()
        return tuple(
            SignedSource(content=file.path, mime=file.mime, relationship=file.relationship, title=file.title)
            for file in self.files
        )

    def recorded(self) -> tuple[Source, ...]:
        """The files as the ledger names them; raises BadMedia where one has changed."""
        self.digests()
        return tuple(self._recorded(place, file) for place, file in enumerate(self.files))

    def hashes(self) -> "list[FrameHash]":
        """The fingerprints of what the files show."""
        from hibari.provenance.fingerprint import hashes_of

        return [each for file in self.files for each in hashes_of(file.screened, KEPT_A_SECOND)]

    @cached_property
    def entries(self) -> "tuple[Entry | None, ...]":
        """The generation that each file is, where it left here, byte for byte."""
        return tuple(self.door.ledger.find_file(file.sha256) for file in self.files)

    @property
    def clip(self) -> Entry | None:
        """The generation that is edited or extended, where the clip left here."""
        entries = zip(self.files, self.entries, strict=True)
        return next((entry for file, entry in entries if file.option == "video"), None)

    def _verdict(self, place: int, file: Brought) -> Verdict:
        import numpy as np

        frames, entry = np.stack(file.screened), self.entries[place]
        statement = self._stated(place)
        if statement is None and entry is not None and not _from_outside(entry):  # nobody real can be in it
            return self.door.frames.screen(frames, surface="uploads")
        screen = UploadScreen(
            self.door.prompts.policy,
            self.door.frames,
            lambda record: self._records.update({place: record}),
            faces=self.door.faces,
        )
        return screen.screen(frames, file.sha256, statement)

    def _stated(self, place: int) -> Attestation | None:
        """What is stated about a file: with this request, or when the file was made here."""
        about = self.statement.about
        if about is None:
            entry = self.entries[place]
            return _strictest(entry) if entry is not None else None
        if self.statement.first is not None:
            return self._first_statement(self.statement.first, place)
        return Attestation(about=about, user=self.statement.user, at=self.statement.at)

    def _first_statement(self, first: GenerationId, place: int) -> Attestation:
        entry = self.door.ledger.find(first)
        kept = entry.sources[place].consent if entry is not None and place < len(entry.sources) else None
        if kept is None:
            file = self.files[place]
            raise Refused(
                f"what was stated about the {file.title} of {first} is not on record any more.", option=file.option
            )
        return _attestation(kept)

    def _recorded(self, place: int, file: Brought) -> Source:
        record, ours = self._records.get(place), self.entries[place]
        return Source(
            sha256=file.sha256,
            relationship=file.relationship,
            mime=file.mime,
            title=file.title,
            own_id=ours.id if ours is not None else None,
            consent=record.as_dict() if record is not None else None,
        )


def _from_outside(entry: Entry) -> bool:
    """Whether a generation goes back to a file that did not leave here; an erased one may, for nobody knows."""
    return (
        entry.state != "delivered"
        or entry.erased_at is not None
        or any(source.own_id is None for source in entry.sources)
    )


def _strictest(entry: Entry) -> Attestation | None:
    """What was stated about a generation's own sources: that about minors before any other."""
    kept = [source.consent for source in entry.sources if source.consent is not None]
    kept.sort(key=lambda each: each["about"] != "minors")
    return _attestation(kept[0]) if kept else None


def _attestation(kept: dict[str, Any]) -> Attestation:
    return Attestation(about=kept["about"], user=kept["user"], at=datetime.fromisoformat(kept["at"]))
