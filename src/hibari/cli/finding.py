"""One line of the doctor's report."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was found of one thing: "no" says that something will not work, "note" that it is good to know of it."""

    verdict: Literal["ok", "note", "no"]
    what: str
    found: str
    do: str = ""
