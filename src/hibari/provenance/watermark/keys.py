"""The watermark's secret keys: one for each calendar month, kept in a folder that its owner alone can read.

Whoever holds a key can find marks and also forge or erase them, so a key never leaves the machine in a file that others
may read, and a public detector is a service and not a download. No pattern is made here: see `tile.py`.
"""

import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from hibari.errors import Refused

SECRET_BYTES = 32
SUFFIX = ".key"
_NAME = re.compile(r"\d{4}-\d{2}")


@dataclass(frozen=True, kw_only=True)
class WatermarkKey:
    """A secret of 32 bytes under the name of its month, such as "2026-11"."""

    name: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self.secret) == SECRET_BYTES, "a watermark key has 32 bytes"


@dataclass(frozen=True, kw_only=True)
class KeyRing:
    """The keys in a folder."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The ring in `folder`, which is made (mode 0700) where it is missing.

        Raises Refused where the folder or a key in it is open to others or belongs to someone else.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_private(folder, "0700")
        except OSError as error:
            raise Refused(f"The watermark keys in {folder} cannot be reached: {error.strerror}.") from error
        ring = cls(folder=folder)
        ring.all()
        return ring

    def current(self, now: datetime | None = None) -> WatermarkKey:
        """The key of this month (UTC), made on its first use; raises Refused where it cannot be read or kept."""
        name = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m")
        path = self.folder / f"{name}{SUFFIX}"
        if not path.exists():
            _write_once(path, secrets.token_hex(SECRET_BYTES))
        return _read(path)

    def all(self) -> list[WatermarkKey]:
        """Every key, the newest first; raises Refused for one that is open to others or is no key."""
        paths = [path for path in self.folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem)]
        return [_read(path) for path in sorted(paths, reverse=True)]


def _write_once(path: Path, text: str) -> None:
    """Keep a secret under a name that nobody has; where another process was first, its secret stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            # A link fails where the name is taken, and nobody ever sees half a key.
            if not path.exists():
                path.hardlink_to(draft)
        except FileExistsError:
            return
        finally:
            draft.unlink()
    except OSError as error:
        raise Refused(
            f"The watermark key {path} cannot be written: {error.strerror}.", hint="Nothing is made without a mark."
        ) from error


def _read(path: Path) -> WatermarkKey:
    """The key in a file; raises Refused."""
    try:
        _check_private(path, "0600")
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except OSError as error:
        raise Refused(f"The watermark key {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Refused(f"{path} is not a watermark key.", hint="Put the file back from a backup.") from error
    if len(secret) != SECRET_BYTES:
        raise Refused(f"{path} is not a whole watermark key.", hint="Put the file back from a backup.")
    return WatermarkKey(name=path.stem, secret=secret)


def _check_private(path: Path, mode: str) -> None:
    """Raise Refused unless this user, and nobody else, can reach `path`."""
    if os.name != "posix":
        return  # there a file's mode says nothing: the user's own folder is what protects it
    found = path.stat()
    if found.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(found.st_mode) & 0o077:
        raise Refused(f"{path} holds watermark secrets and is open to others.", hint=f"Run: chmod {mode} {path}")
