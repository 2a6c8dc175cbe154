"""How the time-stamp authority has been doing: one small file, by which it is left alone for a while after it failed.

The stamping itself is the library's, inside `sign.py`. Losing this file loses nothing but the memory of a failure.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from hibari.media.files import beside

RETRY_AFTER = timedelta(minutes=5)  # the library waits 30 seconds for an authority that never answers
_FILE = "timestamps.json"
_MAX_REASON = 200
_UNREACHED = "error sending request"  # in the library's words


@dataclass(frozen=True, kw_only=True)
class StampRecord:
    """The last success and the last failure at `url`; times in ISO 8601, empty where there was none.

    `trusted` says whether the last stamp counted here, that is, whether its authority's root is an anchor.
    """

    url: str
    stamped_at: str = ""
    trusted: bool = True
    failed_at: str = ""
    reason: str = ""

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return bool(self.failed_at)

    def rests(self, now: datetime) -> bool:
        """Whether the last failure is so recent that another attempt would only cost time."""
        return self.failing and abs(now - datetime.fromisoformat(self.failed_at)) < RETRY_AFTER

    def succeeded(self, now: datetime, *, trusted: bool) -> "StampRecord":
        """After a stamp."""
        return replace(self, stamped_at=now.isoformat(), trusted=trusted, failed_at="", reason="")

    def failed(self, now: datetime, reason: str) -> "StampRecord":
        """After a failure."""
        reason = "it cannot be reached" if _UNREACHED in reason else " ".join(reason.split())[:_MAX_REASON]
        return replace(self, failed_at=now.isoformat(), reason=reason)

    def save(self, folder: Path) -> None:
        """Keep it; raises OutputError."""
        with beside(folder / _FILE) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def load_record(folder: Path, url: str) -> StampRecord:
    """What is known of the authority at `url`."""
    try:
        found = StampRecord(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
        if found.failed_at:
            datetime.fromisoformat(found.failed_at)
    except (OSError, ValueError, TypeError):
        return StampRecord(url=url)  # none yet, or damaged: then the next attempt finds out how things are
    return found if found.url == url else StampRecord(url=url)
