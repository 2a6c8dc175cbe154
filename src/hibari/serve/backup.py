"""Backup and restore: the database, the secrets, what is held, and the files, while the service goes on.

The database first, and then the files that it names: a file too many is swept away later, one too few is missed. A
Postgres database is its own tools' to copy, before this. Models, the policy and certificates of an operator's own
are not in a backup: they were brought from somewhere.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.media.files import beside, output_error
from hibari.provenance.places import CREDENTIALS, HELD, KEYS, ledger_url
from hibari.store import Store
from hibari.store.blobs import BlobMissing, open_blobs
from hibari.store.database import sqlite_file

FILES = "files"
_FOLDERS = (KEYS, CREDENTIALS, HELD)
_DATABASE, _NOTE = "database.sqlite3", "backup.json"


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What is in a backup's folder: `database` False where that is Postgres, and not in it. `files` are counted."""

    at: str
    version: str
    database: bool
    files: int


def back_up(settings: Settings, folder: Path) -> Backup:
    """Copy an installation into a new `folder`, for its owner alone; whole once its note is there.

    Raises InvalidRequest for a folder that is there, StoreError, and OutputError.
    """
    at, url = datetime.now(UTC), ledger_url(settings)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise InvalidRequest(f"{folder} is there already.", option="folder", hint="Name a new one.") from error
    except OSError as error:
        raise output_error(folder, error) from error
    with Store.open(url, migrate=False) as store:
        is_ours = store.engine.dialect.name == "sqlite"
        if is_ours:
            store.copy_to(folder / _DATABASE)
    for name in _FOLDERS:
        if (settings.home / name).is_dir():
            _copy_tree(settings.home / name, folder / name)
    note = Backup(
        at=at.isoformat(timespec="seconds"),
        version=version("hibari"),
        database=is_ours,
        files=_copy_files(settings, folder / FILES),
    )
    os.sync()  # what the note says is there, is on the disk
    (folder / _NOTE).write_text(json.dumps(asdict(note)) + "\n", encoding="utf-8")
    return note


def restore(settings: Settings, folder: Path) -> Backup:
    """Put a backup in place, where there is nothing yet; raises InvalidRequest where there is, StoreError, OutputError.

    The service starts on it as after any stop: what ran is made again, and what has expired since goes. One that
    fails can be done again: the database comes last, and what else was put in place goes, but for files of its videos.
    """
    note, database = _read_note(folder), sqlite_file(ledger_url(settings))
    if note.database != (database is not None):
        raise InvalidRequest(
            "The backup has no database in it." if not note.database else "The backup's database is SQLite.",
            option="database",
            hint="Set HIBARI_DATABASE as it was when the backup was made; pg_restore brings back a Postgres database.",
        )
    home = settings.ensure_home()
    for each in (*(home / name for name in _FOLDERS), *([database] if database is not None else [])):
        if each.exists():
            raise InvalidRequest(f"{each} is there already.", option="home", hint="Name a new data folder.")
    try:
        _put_back(settings, folder, database)
    except BaseException:
        for name in _FOLDERS:
            shutil.rmtree(home / name, ignore_errors=True)
        raise
    return note


def _put_back(settings: Settings, folder: Path, database: Path | None) -> None:
    """Secrets, what is held and files, and then the database, whole or not at all."""
    for name in _FOLDERS:
        if (folder / name).is_dir():
            _copy_tree(folder / name, settings.home / name)
    blobs = open_blobs(settings)
    for path in sorted((folder / FILES).glob("*/*")):
        blobs.put(f"{path.parent.name}/{path.name}", path)
    if database is not None:
        with beside(database, private=True) as unfinished:
            shutil.copyfile(folder / _DATABASE, unfinished)


def _copy_files(settings: Settings, folder: Path) -> int:
    """Every blob, into folders by its name; how many they were."""
    blobs, count = open_blobs(settings), 0
    folder.mkdir(mode=0o700)
    for name, _ in blobs.names():
        target = folder / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            blobs.fetch(name, target)
        except BlobMissing:  # deleted since it was listed
            continue
        count += 1
    return count


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with its modes; what is half-written or goes meanwhile is not missed."""

    def unfinished(_: str, names: list[str]) -> list[str]:
        return [name for name in names if name.startswith(".")]

    try:
        shutil.copytree(source, target, ignore=unfinished)
    except OSError as error:
        raise output_error(target, error) from error


def _read_note(folder: Path) -> Backup:
    try:
        values: dict[str, Any] = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{folder} holds no whole backup.", option="folder", hint="`hibari backup FOLDER` makes one."
        ) from error
    return Backup(**values)
