"""Signing a finished file: its origin goes in, and the signed file stands at its place whole or not at all.

Which keys sign is `authority.py`'s business. Nothing is changed in the picture here.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import c2pa
from PIL import Image

from hibari.errors import BadMedia, Refused
from hibari.media.files import beside
from hibari.provenance.credentials.anchors import Anchors
from hibari.provenance.credentials.authority import Authority, Credential
from hibari.provenance.credentials.manifest import Origin, Software, can_sign, definition, ingredient
from hibari.provenance.credentials.read import CredentialFinding, can_take, read
from hibari.provenance.credentials.timestamps import RETRY_AFTER, StampRecord, load_record
from hibari.provenance.ids import GenerationId


@dataclass(frozen=True, kw_only=True)
class SignedFile:
    """The manifest, for the ledger, and what a person should know of the signing."""

    manifest: bytes
    timestamped: bool
    notes: tuple[str, ...]


def sign(authority: Authority, origin: Origin, source_path: Path, target_path: Path, mime: str) -> SignedFile:
    """Write `source_path` with its credentials to `target_path`, which may be the same; a failure leaves it as it was.

    Raises OutputError, and what `sign_into` does but for OSError.
    """
    with beside(target_path) as partial:
        return sign_into(authority, origin, source_path, partial, mime)


def sign_into(authority: Authority, origin: Origin, source_path: Path, partial: Path, mime: str) -> SignedFile:
    """Write `source_path` with its credentials into the file `partial`, which is good for nothing where this raises.

    Where the time-stamp authority fails, the file is signed without a stamp, a note says so, and the authority is left
    alone for five minutes. A source whose own credentials cannot be read is named without them, with a note. The
    result is read back. Raises Refused, BadMedia, and OSError of writing.
    """
    if not can_sign(mime):
        raise BadMedia(f"Files of type {mime} cannot carry Content Credentials.", option="output")
    credential, anchors = authority.credential(), authority.anchors()
    bare = _without_credentials(origin, anchors)
    work = _Work(origin=origin, source=source_path, target=partial, mime=mime, anchors=anchors, bare=bare)
    manifest, notes = _stamped_if_possible(work, authority, credential)
    finding = _read_back(work)
    timestamped = finding.signed_at is not None
    if timestamped and authority.timestamp_url:
        record = load_record(authority.folder, authority.timestamp_url)
        record.succeeded(authority.clock(), trusted=finding.stamp_trusted).save(authority.folder)
    unkept = [f"The credentials of source {index + 1} cannot be read and were not kept." for index in bare]
    return SignedFile(manifest=manifest, timestamped=timestamped, notes=(*unkept, *notes))


def try_stamp(authority: Authority) -> StampRecord:
    """Ask the time-stamp authority for one stamp now, however it did before, and note how it does.

    Raises Refused where nothing could be signed even without a stamp.
    """
    url, now = authority.timestamp_url, authority.clock()
    assert url is not None, "there is an authority to ask"
    record, credential = load_record(authority.folder, url), authority.credential()
    origin = Origin(
        id=GenerationId.new(),
        created_at=now,
        action="created",
        software=Software(name="Hibari", version=version("hibari")),
        model="none",
        revision="none",
    )
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "pixel.png", Path(folder) / "signed.png"
        Image.new("RGB", (1, 1)).save(source)
        target.touch()
        work = _Work(origin=origin, source=source, target=target, mime="image/png", anchors=authority.anchors())
        try:
            _sign_once(work, credential, url)
            record = record.succeeded(now, trusted=_read_back(work).stamp_trusted)
        except c2pa.C2paError as error:
            _sign_once(work, credential, None)  # raises where it is not the stamp that failed
            record = record.failed(now, str(error))
    record.save(authority.folder)
    return record


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One file to sign."""

    origin: Origin
    source: Path
    target: Path
    mime: str
    anchors: Anchors
    bare: tuple[int, ...] = ()  # sources that are named without their credentials


def _stamped_if_possible(work: _Work, authority: Authority, credential: Credential) -> tuple[bytes, list[str]]:
    """Sign with a time stamp where one is set and to be had; the manifest, and notes."""
    url = authority.timestamp_url
    if url is None:
        return _sign_once(work, credential, None), []
    record, now = load_record(authority.folder, url), authority.clock()
    if record.rests(now):
        return _sign_once(work, credential, None), [_unstamped(record)]
    try:
        return _sign_once(work, credential, url), []
    except c2pa.C2paError as error:
        record = record.failed(now, str(error))
    # What failed is the stamp only if all goes well without one.
    manifest = _sign_once(work, credential, None)
    record.save(authority.folder)
    return manifest, [_unstamped(record)]


def _unstamped(record: StampRecord) -> str:
    minutes = int(RETRY_AFTER.total_seconds() // 60)
    return (
        f"Signed without a time stamp: {record.url} failed ({record.reason}). "
        f"It is asked again {minutes} minutes after a failure; until then the ledger alone keeps the time."
    )


def _sign_once(work: _Work, credential: Credential, timestamp_url: str | None) -> bytes:
    """The manifest of the file now at the target.

    Raises Refused, OSError, and, where there is a `timestamp_url`, C2paError, for it may be the stamp that failed.
    """
    with ExitStack() as stack:
        source = stack.enter_context(work.source.open("rb"))
        target = _Target(stack.enter_context(work.target.open("w+b")))
        told = definition(work.origin, work.mime, work.bare)
        try:
            builder = stack.enter_context(c2pa.Builder(told, work.anchors.context()))
            for index, each in enumerate(work.origin.sources):
                if index not in work.bare:
                    with _there(each.content).open("rb") as stream:
                        builder.add_ingredient(ingredient(work.origin, index), each.mime, stream)
            with credential.signer(timestamp_url) as signer:
                return builder.sign(signer, work.mime, source, target)
        except c2pa.C2paError as error:
            if target.failure is not None:
                raise target.failure from error
            if timestamp_url is not None:
                raise
            raise Refused(
                f"The file could not be signed: {error}.", hint="Nothing leaves here without its credentials."
            ) from error


def _without_credentials(origin: Origin, anchors: Anchors) -> tuple[int, ...]:
    """The sources that the library cannot take in: damaged files, damaged manifests in them, or what would kill it.

    Components are not tried: they left here as they are.
    """
    return tuple(
        index
        for index, source in enumerate(origin.sources)
        if source.relationship != "componentOf"
        and not can_take(_there(source.content), source.mime, ingredient(origin, index), anchors)
    )


def _there(path: Path) -> Path:
    """A source's file; raises BadMedia where it is gone."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise BadMedia(f"{path} cannot be read ({error.strerror}).") from error
    return path


def _read_back(work: _Work) -> CredentialFinding:
    """What a reader finds in the signed file; raises Refused unless it is all that was meant."""
    finding = read(work.target, work.mime, work.anchors)
    if finding.state != "trusted" or finding.id != work.origin.id:
        problems = ", ".join(finding.problems) or finding.state
        raise Refused(f"The signed file fails its own check: {problems}.", hint="Is this machine's clock right?")
    return finding


class _Target:
    """The file that the library writes to, remembering a failure that would not come back through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write; an error is kept and raised."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Flush; an error is kept and raised."""
        try:
            self._file.flush()
        except OSError as error:
            self.failure = error
            raise

    def read(self, size: int = -1) -> bytes:
        """Read."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Tell."""
        return self._file.tell()
