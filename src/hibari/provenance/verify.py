"""Was this file made here? Three techniques are asked, and the answer says which of them it rests on.

Metadata: the file's own Content Credentials. Watermark: what its pixels carry, also in a copy that was re-encoded,
cut or stripped, or in one screenshot of it. Fingerprint: what it looks like, which never proves anything. Pictures and
credentials are read in child processes with limits; no keys, certificates or records are made.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hibari.config import Settings
from hibari.errors import BadMedia
from hibari.media.child import Limits
from hibari.media.decode import MediaInfo, reading
from hibari.media.files import file_sha256
from hibari.media.sniff import sniff
from hibari.provenance.answer import Answer, Look, Technique
from hibari.provenance.credentials.anchors import Anchors
from hibari.provenance.credentials.read import CredentialFinding, read_apart
from hibari.provenance.fingerprint import FingerprintIndex, Resemblance, hashes_of
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Entry, Ledger
from hibari.provenance.places import CREDENTIALS, INDEX, KEYS, ledger_url
from hibari.provenance.watermark.claims import MarkFinding
from hibari.provenance.watermark.keys import KeyRing, WatermarkKey
from hibari.store import Store

if TYPE_CHECKING:
    from hibari.media.fit import Frame

LOOK_SECONDS = 6.0  # for seeing a file and finding its watermark; with all else, a clip is answered within ten
SEEN_A_SECOND = 6.0  # frames, which is what the watermark's search looks at; every third is the fingerprint's
MOST_FRAMES = 384  # 64 seconds, which is as much as the search looks at
HASHED_A_SECOND = 2
HASHED_SIDE = 512  # pixels of the longer side, as what was recorded was hashed
LOCKED_SECONDS = 3.0  # that a locked ledger is waited for


@dataclass(frozen=True, kw_only=True)
class Records:
    """What is remembered here: the ledger, and the fingerprints of all that is in it."""

    store: Store
    ledger: Ledger
    index: FingerprintIndex

    @classmethod
    def open(cls, settings: Settings) -> Self | None:
        """The records of an installation, None where nothing was ever recorded; raises StoreError, OutputError."""
        url = ledger_url(settings)
        if isinstance(url, Path) and not url.exists():
            return None
        store = Store.open(url, migrate=False, timeout_s=LOCKED_SECONDS)
        try:
            file = settings.home / INDEX
            return cls(store=store, ledger=Ledger(store, file), index=FingerprintIndex.open(store, file))
        except BaseException:
            store.close()
            raise


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """What answers: the keys, certificates and records of an installation, as far as there are any.

    `look_seconds` bounds the search for the watermark of one file, loading torch included.
    """

    anchors: Anchors
    keys: Sequence[WatermarkKey]
    records: Records | None
    look_seconds: float = LOOK_SECONDS
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def open(cls, settings: Settings, *, look_seconds: float = LOOK_SECONDS) -> Self:
        """The verifier of the data folder's installation; makes nothing, and raises what is wrong with what is there.

        Raises Refused for keys that are open to others and certificates that are damaged, and StoreError for a ledger
        that is locked, damaged or newer.
        """
        folder = settings.home / KEYS
        return cls(
            anchors=Anchors.load(settings.home / CREDENTIALS),
            keys=KeyRing.open(folder).all() if folder.is_dir() else (),
            records=Records.open(settings),
            look_seconds=look_seconds,
            limits=Limits(seconds=max(30.0, look_seconds), processor_seconds=max(30.0, look_seconds)),
        )

    def close(self) -> None:
        """Let go of the records."""
        if self.records is not None:
            self.records.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def verify(self, path: Path) -> Answer:
        """Ask all three techniques about a file; raises BadMedia where it cannot be read, and StoreError."""
        try:
            return self._answer(path)
        except OSError as error:  # it was moved or cut while it was read
            raise BadMedia(f"{path} cannot be read ({error.strerror}).", hint="Is it still there?") from error

    def _answer(self, path: Path) -> Answer:
        sight = self._look_at(path)
        mime = sniff(path)
        seen = read_apart(path, mime, self.anchors) if mime else _CARRIES_NONE
        mark = sight.mark
        marked = GenerationId(mark.id) if mark.found and mark.id is not None else None
        own = self._signed_id(path, seen)
        rests_on: list[Technique] = ["metadata"] if own is not None else []
        if marked is not None:
            rests_on.append("watermark")
        proven = own or marked
        entry = self._find(proven)
        recovered = None
        if entry is not None and own is None and mime:
            recovered = read_apart(path, mime, self.anchors, entry.manifest)
        if sight.look.damage and not rests_on:
            raise BadMedia(sight.look.damage, hint="Is the file whole?")  # half of a file proves nothing
        return Answer(
            file=str(path),
            rests_on=tuple(rests_on),
            # A signature leaves some bytes of its own manifest open; the ledger's digest leaves none.
            intact=own is not None if entry is None else _is_delivery(path, entry),
            id=proven,
            info=sight.info,
            look=sight.look,
            metadata=seen,
            watermark=mark,
            compared=self.records is not None and len(self.records.index) > 0,
            comparable=self.records is not None and proven is not None and proven in self.records.index,
            resembles=self._others(sight.resembles, proven),
            entry=entry,
            recovered=recovered,
        )

    def _signed_id(self, path: Path, seen: CredentialFinding) -> GenerationId | None:
        """The id that a file's credentials prove: ours, unaltered, and signed for just this file.

        Authentic credentials that do not fit may have been lifted off a file of ours and put on any other. Where our
        certificate has ended and no time stamp says that it signed before, the ledger's record of the file does.
        """
        if not seen.intact or seen.id is None:
            return None
        if seen.authentic:
            return seen.id
        entry = self._find(seen.id) if seen.expired else None
        return seen.id if entry is not None and _is_delivery(path, entry) else None

    def _find(self, generation: GenerationId | None) -> Entry | None:
        if generation is None or self.records is None:
            return None
        return self.records.ledger.find(generation)

    def _others(self, found: tuple[Resemblance, ...], proven: GenerationId | None) -> tuple[Resemblance, ...]:
        """What a file resembles, without the stills of a clip beside the clip, and the clip beside its still."""
        if self.records is None or not found:
            return found
        known = {proven} if proven is not None else set()
        shows = self.records.ledger.components_of({one.id for one in found} | known)
        kept = []
        for one in found:
            related = {*shows.get(one.id, ()), *(other for other in known if one.id in shows.get(other, ()))}
            if one.id == proven or not related & known:
                kept.append(one)
                known.add(one.id)
        return tuple(kept)

    def _look_at(self, path: Path) -> "_Sight":
        """What can be seen of a file: its watermark and what it resembles."""
        started = time.monotonic()
        wanted = MOST_FRAMES if self.keys or self.records else 1  # whether it can be read is asked in any case
        with reading(path, wanted, self.limits, a_second=SEEN_A_SECOND) as (info, frames):
            watched = _Watched(frames, min(info.fps, SEEN_A_SECOND) or 1.0)
            mark = self._search(watched, started + self.look_seconds)
        resembles: tuple[Resemblance, ...] = ()
        if self.records is not None and len(self.records.index):
            resembles = tuple(self.records.index.search(hashes_of(watched.kept, HASHED_A_SECOND)))
        moving = info.kind == "video"
        clip_seconds = watched.count / watched.fps if moving else 0.0
        look = Look(
            keys=len(self.keys),
            seconds=time.monotonic() - started,
            clip_seconds=clip_seconds,
            cut=moving and not watched.ended and (not info.frames or info.frames > (clip_seconds + 1) * info.fps),
            damage=watched.damage,
        )
        return _Sight(info=info, mark=mark, resembles=resembles, look=look)

    def _search(self, watched: "_Watched", deadline: float) -> MarkFinding:
        if not self.keys:  # and then torch is not needed either
            for _ in watched:
                pass
            return MarkFinding(found=False)
        from hibari.provenance.watermark.search import find_mark

        issued = self.records.ledger.issued_ids() if self.records is not None else None
        # Loading torch is part of a person's waiting; but however slow that was, half of the time is for looking.
        left = max(deadline - time.monotonic(), self.look_seconds / 2)
        return find_mark(watched, watched.fps, self.keys, issued, seconds_limit=left)


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """What was seen of one file."""

    info: MediaInfo
    mark: MarkFinding
    resembles: tuple[Resemblance, ...]
    look: Look


class _Watched:
    """Frames on their way to the watermark's search: counted, and one each half second kept for the fingerprint."""

    def __init__(self, frames: "Iterator[Frame]", fps: float) -> None:
        self.fps, self.count, self.ended, self.damage = fps, 0, False, ""
        self.kept: list[Frame] = []
        self._frames = frames

    def __iter__(self) -> "Iterator[Frame]":
        while (frame := self._next()) is not None:
            if self.count >= round(len(self.kept) * self.fps / HASHED_A_SECOND):
                self.kept.append(_small(frame))
            self.count += 1
            yield frame
        self.ended = self.count < MOST_FRAMES

    def _next(self) -> "Frame | None":
        """The next frame; None at the end, also where the file is damaged after at least one."""
        try:
            return next(self._frames, None)
        except BadMedia as error:
            if not self.count:
                raise
            self.damage = error.message.partition(": ")[2] or error.message
            return None


def _small(frame: "Frame") -> "Frame":
    """A frame at the size that its fingerprint needs, since many are held at once."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(frame)
    picture.thumbnail((HASHED_SIDE, HASHED_SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


_CARRIES_NONE = CredentialFinding(state="none", problems=("Credentials in files of this type are not read here.",))


def _is_delivery(path: Path, entry: Entry) -> bool:
    """Whether a file is, byte for byte, the one that was recorded."""
    if path.stat().st_size != entry.delivery.file_bytes:
        return False
    return file_sha256(path) == entry.delivery.file_sha256
