"""Where in the data folder the records, keys, unfinished files and optional safety models lie."""

from pathlib import Path

from hibari.config import Settings

INDEX, HELD, KEYS, CREDENTIALS, SAFETY = "fingerprints.index", "held", "keys", "credentials", "safety"
WORKSHOP = "unsigned"
_LEDGER = "ledger.sqlite3"


def ledger_url(settings: Settings) -> str | Path:
    """The ledger's database: as the settings say, else a file in the data folder."""
    return settings.database or settings.home / _LEDGER
