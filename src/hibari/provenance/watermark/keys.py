"""The watermark's secret keys: one for each calendar month, kept in a folder that its owner alone can read.

Whoever holds a key can find marks and also forge or erase them, so a key never leaves the machine in a file that others
may read, and a public detector is a service and not a download. No pattern is made here: see `tile.py`.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from hibari.errors import OutputError, Refused
from hibari.provenance.keyfiles import ensure_private_folder, read_private, write_private

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
            ensure_private_folder(folder)
        except OutputError as error:
            raise Refused(f"The watermark keys cannot be reached. {error.message}", hint=error.hint) from error
        ring = cls(folder=folder)
        ring.all()
        return ring

    def current(self, now: datetime | None = None) -> WatermarkKey:
        """The key of this month (UTC), made on its first use; raises Refused where it cannot be read or kept."""
        path = self.folder / f"{month_of(now)}{SUFFIX}"
        if not path.exists():
            try:
                write_private(path, secrets.token_hex(SECRET_BYTES).encode(), replace=False)
            except OutputError as error:
                message = f"The watermark key cannot be written. {error.message}"
                raise Refused(message, hint="Nothing is made without a mark.") from error
        return _read(path)

    def find(self, name: str) -> WatermarkKey | None:
        """The key of a month, None where it is not here; raises Refused for one that cannot be read."""
        assert _NAME.fullmatch(name), name
        path = self.folder / f"{name}{SUFFIX}"
        return _read(path) if path.exists() else None

    def all(self) -> list[WatermarkKey]:
        """Every key, the newest first; raises Refused for one that is open to others or is no key."""
        paths = [path for path in self.folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem)]
        return [_read(path) for path in sorted(paths, reverse=True)]


def month_of(now: datetime | None = None) -> str:
    """The name of the month (UTC) that it is, such as "2026-11"."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m")


def _read(path: Path) -> WatermarkKey:
    """The key in a file; raises Refused."""
    try:
        secret = bytes.fromhex(read_private(path).decode("ascii"))
    except ValueError as error:
        raise Refused(f"{path} is not a watermark key.", hint="Put the file back from a backup.") from error
    if len(secret) != SECRET_BYTES:
        raise Refused(f"{path} is not a whole watermark key.", hint="Put the file back from a backup.")
    return WatermarkKey(name=path.stem, secret=secret)
