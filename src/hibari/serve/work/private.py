"""Private folders of processes: what a process was working on goes with it, also when it was killed.

Each is locked while its process lives, so that whoever comes next knows which are nobody's.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hibari.provenance.keyfiles import ensure_private_folder


@contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, for its owner alone and gone when the block ends; sweeps away what the dead left."""
    ensure_private_folder(parent)
    folder = parent / secrets.token_hex(8)
    with _locked(parent) as _:  # so that nobody sweeps between making and locking
        for other in parent.iterdir():
            _sweep(other)
        folder.mkdir(mode=0o700)
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Delete a folder whose process is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)
