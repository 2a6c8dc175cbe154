"""The finished files that wait for a reviewer, in the data folder: found, and deleted once they may not stay.

A file comes here as the last step of its record, and what is recorded decides whether it stays: so a crash between a
decision and its file is made good by the next one who looks. What a crash left without a record goes after a day.
"""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hibari.errors import InvalidRequest, OutputError, StoreError
from hibari.media.files import is_abandoned, sweep
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger.ledger import Ledger
from hibari.provenance.places import HELD


@dataclass(frozen=True)
class HeldFiles:
    """The held files of a data folder."""

    home: Path

    def place(self, file: str) -> Path:
        """Where the held file of an item lies; raises StoreError for a name that leads out of the folder."""
        parts = PurePosixPath(file).parts
        if len(parts) != 2 or parts[0] != HELD or parts[1].startswith("."):
            raise StoreError(f"{file!r} is no held file.", hint="The database was changed by something else.")
        return self.home / HELD / parts[1]

    @contextmanager
    def taken(self, file: str) -> Iterator[bool]:
        """One process at a time has the held file of an item; whether it is there. Raises OutputError, StoreError."""
        path = self.place(file)
        try:
            held = path.open("rb")
        except FileNotFoundError:
            yield False
            return
        except OSError as error:
            raise OutputError(f"{path} cannot be read ({error.strerror}).", option="home") from error
        with held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield path.exists()  # whoever had it before may have handed it over

    def remove(self, files: Iterable[str]) -> int:
        """Delete the files of erased or refused items; returns how many were there. Raises OutputError, StoreError."""
        return sum(_unlink(self.place(file)) for file in files)

    def tidy(self, ledger: Ledger) -> int:
        """Delete what a crash left; returns how many files whose generation is refused, erased or never recorded."""
        folder = self.home / HELD
        if not folder.is_dir():
            return 0
        sweep(folder)
        return sum(_unlink(path) for path in sorted(folder.iterdir()) if _is_left_over(path, ledger))


def _is_left_over(path: Path, ledger: Ledger) -> bool:
    try:
        generation = GenerationId.parse(path.stem)
    except InvalidRequest:
        return False  # not ours to delete, or still being written
    entry = ledger.find(generation)
    if entry is None:
        return is_abandoned(path)  # a new one may be on its way into the ledger
    return entry.state == "refused" or entry.erased_at is not None


def _unlink(path: Path) -> bool:
    """Delete a file; says whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be deleted ({reason}).", option="home", hint="Delete it by hand.") from error
    return True
