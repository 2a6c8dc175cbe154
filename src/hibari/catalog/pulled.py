"""The record that a pull leaves in a model's folder: where its files came from, their checksums, their licence."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from hibari.errors import BadWeights

FILE = "pulled.json"


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What was pulled. `source` is a repository or a folder; `accepted` says that its licence was accepted by name."""

    name: str
    layout: str
    source: str
    revision: str
    licence: str
    accepted: bool
    at: str
    files: Mapping[str, str]
    """Path and checksum, "sha256:..." or, of small files of a hub, "git:..."."""

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The record in a folder; None where nobody pulled it. Raises BadWeights."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            texts = [found.name, found.layout, found.source, found.revision, found.licence, found.at]
            texts += [text for pair in found.files.items() for text in pair]
            if type(found.accepted) is not bool or not all(isinstance(text, str) for text in texts):
                raise ValueError("a value is of another kind")
            return found
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BadWeights(f"{path}: not the record of a pull ({error}).", option="model") from error

    def write(self, folder: Path) -> None:
        """Write the record; raises OSError."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
