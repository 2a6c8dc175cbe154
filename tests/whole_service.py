"""`hibari serve` as a person starts it: on a free port, with one worker and the built-in model, in a home that goes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hibari.access import Keys, Users
from hibari.config import Settings
from hibari.provenance.places import ledger_url
from hibari.store import Store

START_S, END_S = 120.0, 60.0


@dataclass(frozen=True, kw_only=True)
class WholeService:
    """A service that answers: its address up to /v1, and its data folder."""

    url: str
    home: Path

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Its database, from outside, as the verbs of the command line open it."""
        with Store.open(ledger_url(Settings(home=self.home)), migrate=False) as store:
            yield store

    def key_of(self, name: str, role: str = "creator") -> str:
        """The key of a new user."""
        with self.store() as store:
            Users(store).add(name, role)
            return Keys(store).create(name)[0]


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[WholeService]:
    """A service in a folder of its own, until the block ends; it has to end orderly then."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("HIBARI_")}
    command = [sys.executable, "-m", "hibari", "serve", "--port", "0", "--workers", "1", "--home", str(folder / "home")]
    said = folder / "serve.log"
    with said.open("w") as log:
        process = subprocess.Popen(command, stderr=log, env=own | environment)
    try:
        yield WholeService(url=_address(process, said), home=folder / "home")
        assert process.poll() is None, f"it ended: {said.read_text()[-3000:]}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert process.returncode == 0, said.read_text()[-3000:]


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    """What a service that starts says of where it is."""
    deadline = time.monotonic() + START_S
    while (found := re.search(r"serves at (http\S+)", said.read_text())) is None:
        assert process.poll() is None and time.monotonic() < deadline, said.read_text()[-3000:]
        time.sleep(0.1)
    return found[1]
