"""Private key files: readable by their owner alone, written whole or not at all. What is in them is not known here."""

import os
import secrets
import stat
from pathlib import Path

from hibari.errors import Refused
from hibari.media.files import output_error

_OPEN_TO_OTHERS = 0o077


def ensure_private_folder(folder: Path) -> Path:
    """Make `folder` (mode 0700) where it is missing; raises Refused where others may enter it, and OutputError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise output_error(folder, error) from error
    _check_owner(folder, found, f"chmod 700 {folder}")
    return folder


def read_private(path: Path, *, option: str = "") -> bytes:
    """The bytes of a key file; raises Refused where it is missing or others may read it too."""
    try:
        with path.open("rb") as file:
            # Asked of the open file and not of its path, which may be another by the time it is read.
            _check_owner(path, os.fstat(file.fileno()), f"chmod 600 {path}", option=option)
            return file.read()
    except OSError as error:
        raise Refused(f"The key file {path} cannot be read ({error.strerror}).", option=option) from error


def write_private(path: Path, data: bytes, *, replace: bool) -> bool:
    """Write a key file of mode 0600 in one step; says whether it was written. Raises OutputError.

    With `replace` off an existing file stays as it is: of two processes that make a first key, the later takes the
    earlier one's.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                draft.replace(path)
            else:
                path.hardlink_to(draft)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    return True


def _check_owner(path: Path, found: os.stat_result, command: str, *, option: str = "") -> None:
    """Raise Refused unless the owner, and nobody else, can reach what was `found` at `path`."""
    if os.name != "posix":
        return  # a mode says nothing there; the user's own folder is what protects it
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OPEN_TO_OTHERS:
        raise Refused(f"{path} is open to others (mode {mode:04o}).", option=option, hint=f"Run: {command}")
    if found.st_uid not in (os.geteuid(), 0):
        raise Refused(f"{path} belongs to another user.", option=option, hint="Run Hibari as its owner.")
