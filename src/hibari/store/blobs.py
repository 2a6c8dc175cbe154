"""Where the service's files lie, under names of ours alone: in a folder, or in a bucket of an S3-compatible store.

A blob is whole or absent: it appears in one step. Which blob belongs to whom is for the rows that name it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hibari.config import Settings
from hibari.errors import MissingDependency, OutputError, install
from hibari.media.files import beside, output_error, sweep

if TYPE_CHECKING:
    from obstore.store import S3Store

OWNER = re.compile(r"[a-z]{1,20}_[0-9a-f]{24}")
NAME = re.compile(OWNER.pattern + r"/[a-z][a-z0-9_-]{0,39}\.[a-z0-9]{1,16}")
CHUNK = 256 << 10
_PART = 8 << 20  # of an upload in parts; S3 wants at least 5 MiB


class BlobMissing(OutputError):
    """There is no blob of this name."""


class Blobs(Protocol):
    """Files by name, such as "video_0123456789abcdef01234567/video.mp4"; OutputError where the place fails."""

    def put(self, name: str, path: Path) -> None:
        """Store a copy of a file; one of the same name is replaced."""

    def open(self, name: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `start`, at most `length`, in pieces; raises BlobMissing."""

    def size(self, name: str) -> int | None:
        """Its bytes; None where there is none."""

    def fetch(self, name: str, path: Path) -> None:
        """Write a copy to `path`; raises BlobMissing."""

    def delete(self, name: str) -> None:
        """Remove it, if it is there."""

    def clear(self, owner: str) -> int:
        """Remove all that is there of a video or a character, whoever left it; how many there were."""

    def names(self) -> Iterator[tuple[str, datetime]]:
        """Every blob, and when it was stored."""


def open_blobs(settings: Settings) -> Blobs:
    """Where these settings keep files; raises OutputError for a folder that cannot be made."""
    place = settings.service.files
    if place is not None and place.startswith("s3://"):
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        return S3Blobs(bucket, prefix.strip("/"))
    return FolderBlobs(Path(place).expanduser() if place is not None else settings.ensure_home() / "files")


class FolderBlobs:
    """Blobs in a folder for its owner alone, on one machine or on a disk that all share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        with _translated(str(self.folder)):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for each in self.folder.iterdir():
                sweep(each)  # of what killed processes left half-written

    def put(self, name: str, path: Path) -> None:
        """See Blobs. The copy is on the disk before it has its name."""
        target = self._path(name)
        with _translated(name):
            target.parent.mkdir(mode=0o700, exist_ok=True)
            with beside(target, private=True) as partial:
                shutil.copyfile(path, partial)
            for folder in (target.parent, self.folder):
                _sync(folder)

    def open(self, name: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See Blobs."""
        assert start >= 0 and (length is None or length >= 0)
        if self.size(name) is None:
            raise _missing(name)
        return self._read(name, start, length)

    def size(self, name: str) -> int | None:
        """See Blobs."""
        with _translated(name):
            try:
                return self._path(name).stat().st_size
            except FileNotFoundError:
                if not self.folder.is_dir():  # a disk that is not there: nobody knows
                    raise
                return None

    def fetch(self, name: str, path: Path) -> None:
        """See Blobs."""
        if self.size(name) is None:
            raise _missing(name)
        with beside(path, private=True) as partial:
            shutil.copyfile(self._path(name), partial)

    def delete(self, name: str) -> None:
        """See Blobs."""
        path = self._path(name)
        with _translated(name):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # others of the same video are there, or it is gone already
                path.parent.rmdir()

    def clear(self, owner: str) -> int:
        """See Blobs. What is being written goes too."""
        folder = self.folder / _checked_owner(owner)
        with _translated(owner):
            try:
                found = list(folder.iterdir())
            except FileNotFoundError:
                return 0
            for path in found:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # another file came just now, or the folder is gone already
                folder.rmdir()
        return len(found)

    def names(self) -> Iterator[tuple[str, datetime]]:
        """See Blobs."""
        for path in sorted(self.folder.glob("*/*")):
            name = f"{path.parent.name}/{path.name}"
            if NAME.fullmatch(name) is None:
                continue
            with _translated(name):
                try:
                    stored_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                except FileNotFoundError:  # deleted while we looked
                    continue
            yield name, stored_at

    def _path(self, name: str) -> Path:
        return self.folder / _checked(name)

    def _read(self, name: str, start: int, length: int | None) -> Iterator[bytes]:
        with _translated(name), self._path(name).open("rb") as file:
            file.seek(start)
            left = length
            while left is None or left > 0:
                piece = file.read(CHUNK if left is None else min(CHUNK, left))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece


class S3Blobs:
    """Blobs in a bucket. The endpoint, region and keys come from the AWS_ variables, which the client reads itself."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.place = f"s3://{bucket}/{prefix}"
        self._store = _bucket(bucket, prefix)

    def put(self, name: str, path: Path) -> None:
        """See Blobs. A large file goes up in parts, and appears with the last of them."""
        import obstore

        with self._translated(name):
            obstore.put(self._store, _checked(name), path, chunk_size=_PART)

    def open(self, name: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See Blobs."""
        assert start >= 0 and (length is None or length >= 0)
        size = self.size(name)
        if size is None:
            raise _missing(name)
        end = size if length is None else min(size, start + length)
        return self._read(name, start, end)

    def size(self, name: str) -> int | None:
        """See Blobs."""
        import obstore

        try:
            with self._translated(name):
                return obstore.head(self._store, _checked(name))["size"]
        except BlobMissing:
            return None

    def fetch(self, name: str, path: Path) -> None:
        """See Blobs."""
        pieces = self.open(name)
        with beside(path, private=True) as partial, partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)

    def delete(self, name: str) -> None:
        """See Blobs."""
        import obstore

        try:
            with self._translated(name):
                obstore.delete(self._store, _checked(name))
        except BlobMissing:  # some stores say so, others do not
            return

    def clear(self, owner: str) -> int:
        """See Blobs."""
        import obstore

        found = 0
        with self._translated(self.place):
            for batch in obstore.list(self._store, prefix=_checked_owner(owner)):  # a whole part of a path
                obstore.delete(self._store, [blob["path"] for blob in batch])
                found += len(batch)
        return found

    def names(self) -> Iterator[tuple[str, datetime]]:
        """See Blobs."""
        import obstore

        with self._translated(self.place):
            for batch in obstore.list(self._store):
                for blob in batch:
                    if NAME.fullmatch(blob["path"]) is not None:
                        yield blob["path"], blob["last_modified"].astimezone(UTC)

    def _read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        import obstore

        if start >= end:  # a range that the store would refuse
            return
        with self._translated(name):
            found = obstore.get(self._store, name, options={"range": (start, end)})
            for piece in found.stream(min_chunk_size=CHUNK):
                yield bytes(piece)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        """Raise BlobMissing or OutputError for what the client raises inside."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            raise _missing(name) from error
        except BaseError as error:
            reason = type(error).__name__.removesuffix("Error")  # its text holds whole answers of the store
            raise OutputError(
                f"{self.place}: the store does not answer as it should ({reason}).",
                option="files",
                hint="Check the bucket, AWS_ENDPOINT_URL, AWS_REGION and the AWS keys.",
            ) from error


def _bucket(bucket: str, prefix: str) -> "S3Store":
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise MissingDependency("Files in a bucket need obstore.", option="files", hint=install("s3")) from error
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options={
            "allow_http": True,  # only where AWS_ENDPOINT_URL itself says http
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=30),
            "timeout": timedelta(hours=1),  # of a whole request: a slow reader may take long over a long video
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
    )


def _checked(name: str) -> str:
    assert NAME.fullmatch(name), f"{name!r} is no name of ours"
    return name


def _checked_owner(id: str) -> str:
    assert OWNER.fullmatch(id), f"{id!r} is nobody's id"
    return id


def _missing(name: str) -> BlobMissing:
    return BlobMissing(f"{name}: there is no such file any more.")


def _sync(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Raise OutputError for what the disk says inside."""
    try:
        yield
    except OSError as error:
        raise output_error(Path(name), error) from error
