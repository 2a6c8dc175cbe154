"""The digests of weights files, remembered for as long as the files stay as they are: reading 28 GB takes a minute.

A file is taken for the same while its size, its number on the disk and its time of change are. Who can write into the
data folder can also change the weights, so a wrong entry says no more than wrong weights would.
"""

import json
from pathlib import Path
from typing import Any

from hibari.errors import OutputError
from hibari.media.files import beside, file_sha256

FILE = "weights.json"
MOST = 1000  # files; the oldest are forgotten


class Digests:
    """Digests in a file of the data folder; without one, or where it cannot be written, each is taken anew."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def sha256(self, file: Path) -> str:
        """The SHA-256 of a file's bytes, in hexadecimal; raises OSError."""
        stat, name = file.stat(), str(file.resolve())
        state = [stat.st_size, stat.st_ino, stat.st_mtime_ns]
        known = self._read()
        found = known.get(name)
        if isinstance(found, dict) and found.get("state") == state and _is_digest(found.get("sha256")):
            return str(found["sha256"])
        digest = file_sha256(file)
        if file.stat().st_mtime_ns == stat.st_mtime_ns:  # else it was being written
            known.pop(name, None)
            self._write(known | {name: {"state": state, "sha256": digest}})
        return digest

    def _read(self) -> dict[str, Any]:
        if self._path is None or not self._path.is_file():
            return {}
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, Any]) -> None:
        if self._path is None or not self._path.parent.is_dir():
            return
        newest = dict(list(known.items())[-MOST:])
        try:
            with beside(self._path, private=True) as partial:
                partial.write_text(json.dumps(newest, indent=1), encoding="utf-8")
        except OutputError:
            return  # it is taken again next time


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
