"""The saved form of the fingerprint index: a cache of the table, in one file that is whole or not there.

It is never trusted over the table: `index.py` compares the state that it carries, and reads the table anew where the
two do not meet.
"""

import zipfile
from pathlib import Path

import numpy as np

from hibari.media.files import beside
from hibari.provenance.fingerprint.rows import HASH_BYTES, Hashes, State

_FORM = 1


def save(file: Path, hashes: Hashes, state: State) -> None:
    """Write the rows and the state that they were read in; raises OutputError."""
    with beside(file, private=True) as partial, partial.open("wb") as out:
        np.savez(out, state=np.array([_FORM, state.next_id, state.erasure], np.int64), **vars(hashes))


def load(file: Path) -> tuple[Hashes, State] | None:
    """What `save` wrote; None where there is no such file, or where it is damaged or of another form."""
    try:
        # Each array has a checksum, which reading it verifies.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            form, next_id, erasure = arrays["state"].tolist()
            hashes = Hashes(**{name: arrays[name] for name in ("bits", "generations", "seconds")})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    lengths = {len(array) for array in vars(hashes).values()}
    if form != _FORM or len(lengths) != 1 or hashes.bits.shape[1:] != (HASH_BYTES,):
        return None
    return hashes, State(next_id=next_id, erasure=erasure)
