"""A worker: claims jobs, has its maker make them, and brings their files to where the API finds them. No torch here.

`python -m hibari.serve.work.worker` is the supervisor's way to start one, with its settings on standard input, and
`work` is a person's. One job's life is `errand`'s. What a dead maker or worker leaves on the disk is swept; what a dead
worker had claimed is another's when its lease is over.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Collection
from pathlib import Path
from threading import Event, Thread
from types import FrameType

from hibari import catalog
from hibari.config import Settings
from hibari.errors import HibariError, InvalidRequest, StoreError
from hibari.provenance.places import ledger_url
from hibari.serve.pipes import decode_settings
from hibari.serve.work.errand import Errand, Pace
from hibari.serve.work.private import private_folder
from hibari.serve.work.protocol import NotReady, Ready
from hibari.serve.work.workbench import Died, Workbench
from hibari.store import Store
from hibari.store.blobs import Blobs, open_blobs
from hibari.store.queue import Job, Queue

FOLDER = "work"
_LOG = logging.getLogger(__name__)
_PACE = Pace()
MODELS_KEPT_S = 30.0  # as long as the API keeps them


def work(settings: Settings, *, stop: Event, models: Collection[str] | None = None, pace: Pace = _PACE) -> None:
    """Work off the queue until `stop` is set, for the `models` named, or those that are here.

    Raises HibariError for what keeps the worker, or its maker, from starting.
    """
    check_settings(settings)
    settings.ensure_home()
    with Store.open(ledger_url(settings)) as store, private_folder(settings.home / FOLDER) as folder:
        worker = Worker(settings, queue=Queue(store), blobs=open_blobs(settings), folder=folder, pace=pace)
        worker.run(stop, models)


def check_settings(settings: Settings) -> None:
    """Raise InvalidRequest for a setting that workers cannot honour yet, rather than pass over it."""
    if settings.service.previews == "on":
        raise InvalidRequest("previews are not there yet.", option="previews", hint="Leave HIBARI_PREVIEWS off.")


class Worker:
    """One claimer of jobs, with one maker at a time."""

    def __init__(self, settings: Settings, *, queue: Queue, blobs: Blobs, folder: Path, pace: Pace) -> None:
        self._settings, self._queue, self._blobs, self._folder, self._pace = settings, queue, blobs, folder, pace
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._bench: Workbench | None = None
        self._names, self._looked_at = frozenset[str](), -MODELS_KEPT_S

    def run(self, stop: Event, models: Collection[str] | None) -> None:
        """Claim and make until `stop` is set; raises HibariError where the maker cannot start.

        `models` None: those that are here, also those that came after the worker.
        """
        try:
            while (bench := self._ready_bench(stop)) is not None:
                job = self._claim(models)
                if job is None:
                    stop.wait(self._pace.idle_s)
                elif not self._errand(job, stop).run(bench):
                    self._bench = None
        finally:
            if self._bench is not None:
                self._bench.close()

    def _errand(self, job: Job, stop: Event) -> Errand:
        assert job.lease is not None
        return Errand(
            job=job,
            queue=self._queue,
            blobs=self._blobs,
            folder=self._folder / f"{job.id}-{job.lease.attempt}",
            pace=self._pace,
            keep=self._settings.service,
            stop=stop,
        )

    def _ready_bench(self, stop: Event) -> Workbench | None:
        """The maker with its model loaded, a new one where the last is gone; None once `stop` is set."""
        if self._bench is not None:
            return None if stop.is_set() else self._bench
        self._bench = bench = Workbench(self._settings)
        started = time.monotonic()
        while not stop.is_set():
            match bench.hear(self._pace.idle_s):
                case Ready():
                    return bench
                case NotReady(message=message):
                    raise HibariError(f"the maker cannot start: {message}")
                case Died(returncode=code):
                    raise HibariError(f"the maker ended with {code} while it started.", hint="The log above says why.")
            if time.monotonic() - started > self._pace.load_s:
                raise HibariError(f"the maker was not ready after {self._pace.load_s:g} seconds.")
        return None

    def _here(self) -> Collection[str]:
        """The models of this machine, looked for again now and then."""
        if time.monotonic() > self._looked_at + MODELS_KEPT_S:
            self._names, self._looked_at = frozenset(catalog.names(self._settings)), time.monotonic()
        return self._names

    def _claim(self, models: Collection[str] | None) -> Job | None:
        try:
            return self._queue.claim(self._owner, self._here() if models is None else models)
        except StoreError as error:
            _LOG.warning("nothing can be claimed: %s", error)
            time.sleep(self._pace.retry_s)
            return None


def stop_on_signals() -> Event:
    """An event that Ctrl-C and a polite end (SIGTERM) set."""
    stop = Event()

    def ask(_: int, __: FrameType | None) -> None:
        stop.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, ask)
    return stop


def main() -> int:
    """The supervisor's worker: settings come in on standard input, whose end means that the supervisor is gone."""
    from hibari.serve.journal import write_journal

    write_journal()
    stop = stop_on_signals()
    settings = decode_settings(sys.stdin.buffer.readline())

    def watch() -> None:
        # Not through the buffer: a thread that holds its lock when Python ends takes the process down with an abort.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stop.set()

    Thread(target=watch, daemon=True).start()
    try:
        work(settings, stop=stop)
    except HibariError as error:
        _LOG.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
