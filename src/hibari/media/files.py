"""Files that appear whole or not at all: written beside their place, then renamed into it."""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hibari.errors import OutputError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
MIN_FREE_BYTES = 2 << 20  # a few seconds of video; less than this and there is no use in starting
ABANDONED_S = 24 * 3600  # after which a file that nobody finished is taken for a dead process's


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(target: Path) -> None:
    """Raise OutputError, before any work is done, where `target` could not be written."""
    if target.is_dir():
        raise OutputError(f"{target} is a folder.", option="output", hint="Give a file name.")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent}: no such folder.", option="output", hint="Create it, or choose another.")
    with beside(target, keep=False):
        pass  # only making the file says whether it can be made: root and read-only mounts pass other tests
    room = os.statvfs(target.parent)
    if room.f_bavail * room.f_frsize < MIN_FREE_BYTES:
        raise OutputError(f"{target.parent}: the disk is full.", option="output", hint="Make room, or choose another.")


@contextmanager
def beside(target: Path, *, keep: bool = True, private: bool = False, folder: Path | None = None) -> Iterator[Path]:
    """A new empty file beside `target` that takes its place when the block ends well, and goes when it does not.

    `private` files are their owner's alone. What is not kept may lie in another `folder`. Raises OutputError, which
    names the target, where the folder takes no new file or the disk is full.
    """
    assert folder is None or not keep, "a file is renamed within its folder"
    partial = (folder or target.parent) / f".{target.stem[:80]}-{secrets.token_hex(4)}.part"
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
        try:
            yield partial
            if keep:
                _flush(partial)
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(target, error) from error


@contextmanager
def placing(partial: Path, target: Path) -> Iterator[Callable[[], None]]:
    """A call that puts the finished `partial` into its place; the file goes again where the block raises after it.

    So a rename can be the last step of a transaction: neither stands without the other.
    """
    _flush(partial)
    placed = False

    def place() -> None:
        nonlocal placed
        partial.replace(target)
        placed = True

    try:
        yield place
    except BaseException:
        if placed:
            target.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Delete what processes that were killed left unfinished in a folder, a day after."""
    for path in folder.glob(".*.part"):
        if is_abandoned(path):
            path.unlink(missing_ok=True)


def is_abandoned(path: Path, after_s: float = ABANDONED_S) -> bool:
    """Whether nobody has written to a file for a day, or as long as is said; not where it is gone by now."""
    try:
        return time.time() - path.stat().st_mtime > after_s
    except FileNotFoundError:
        return False


def output_error(target: Path, error: OSError) -> OutputError:
    """An operating system's refusal in one line."""
    if error.errno in _NO_ROOM:
        return OutputError(
            f"{target}: no room left on the disk.", option="output", hint="Make room, or choose another."
        )
    reason = error.strerror or str(error)
    return OutputError(f"{target} cannot be written ({reason}).", option="output", hint="Choose another place.")


def _flush(path: Path) -> None:
    """Bring the bytes to the disk: some file systems report a full disk only now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
