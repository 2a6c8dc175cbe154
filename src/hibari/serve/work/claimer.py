"""The loop of a worker: claim a job, see it through with the maker, wait for the next. One job's life is `errand`'s."""

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event

from hibari import catalog
from hibari.config import Settings
from hibari.errors import HibariError, StoreError
from hibari.machine import Holding
from hibari.provenance.places import ledger_url
from hibari.serve.work.errand import Errand, Pace
from hibari.serve.work.fitting import Fitting
from hibari.serve.work.presence import present
from hibari.serve.work.protocol import NotReady, Ready
from hibari.serve.work.workbench import Died, Workbench
from hibari.store import Store
from hibari.store.blobs import Blobs, open_blobs
from hibari.store.queue import Job, Queue
from hibari.store.wakes import Wakes

_LOG = logging.getLogger(__name__)
STARTS = 4  # of makers that are killed while they load, one after the other
MODELS_KEPT_S = 30.0  # as long as the API keeps them


class Claimer:
    """One claimer of jobs, with one maker at a time; the first is starting already."""

    def __init__(self, settings: Settings, bench: Workbench, folder: Path, pace: Pace | None = None) -> None:
        self._settings, self._folder = settings, folder
        self._pace = pace or Pace(stall_s=settings.service.stall_seconds)
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._bench: Workbench | None = bench
        self._is_ready = False
        self._fitting = Fitting(settings=settings)
        self._names, self._looked_at = frozenset[str](), -MODELS_KEPT_S

    def run(self, stop: Event, models: Collection[str] | None, on_ready: Callable[[], object] | None) -> None:
        """Claim and make until `stop` is set; raises HibariError where the database or the maker cannot start.

        `models` None: those that are here, also those that came after the worker.
        """
        try:
            with Store.open(ledger_url(self._settings)) as store, present(store, self._owner, self._holding):
                allowed = ", ".join(sorted(self._here() if models is None else models))
                _LOG.info("connected to %s, for jobs of %s; its maker gets ready", store.name, allowed)
                wakes = Wakes(store)
                try:
                    self._work_off(stop, models, on_ready, store, wakes)
                finally:
                    wakes.close()
                _LOG.info("the worker stops")
        finally:
            if self._bench is not None:
                self._bench.close()

    def _work_off(
        self,
        stop: Event,
        models: Collection[str] | None,
        on_ready: Callable[[], object] | None,
        store: Store,
        wakes: Wakes,
    ) -> None:
        queue, blobs = Queue(store), open_blobs(self._settings)
        while (bench := self._ready_bench(stop)) is not None:
            if on_ready is not None:
                on_ready()
                on_ready = None
            job = self._claim(queue, models)
            if job is None:
                wakes.wait(stop, self._pace.idle_s)
            elif not self._errand(job, queue, blobs, stop).run(bench):
                self._bench, self._is_ready = None, False

    def _holding(self) -> Holding | None:
        """What the maker said last that it holds; None before its first word."""
        return self._bench.holding if self._bench is not None else None

    def _errand(self, job: Job, queue: Queue, blobs: Blobs, stop: Event) -> Errand:
        assert job.lease is not None
        return Errand(
            job=job,
            queue=queue,
            blobs=blobs,
            folder=self._folder / f"{job.id}-{job.lease.attempt}",
            pace=self._pace,
            service=self._settings.service,
            stop=stop,
            fitting=self._fitting,
        )

    def _ready_bench(self, stop: Event) -> Workbench | None:
        """The maker with its model loaded, a new one where the last is gone; None once `stop` is set."""
        if self._bench is not None and self._is_ready:
            return None if stop.is_set() else self._bench
        self._bench = bench = self._bench or Workbench(self._settings)
        started, kills = time.monotonic(), 0
        while not stop.is_set():
            match bench.hear(self._pace.idle_s):
                case Ready():
                    self._is_ready = True
                    _LOG.info("ready%s, and waits for jobs", f" on {bench.holding.device}" if bench.holding else "")
                    return bench
                case NotReady(message=message):
                    raise HibariError(f"the maker cannot start: {message}")
                case Died() as end:
                    kills += 1
                    if end.returncode >= 0 or kills == STARTS:
                        raise HibariError(f"the maker {end.words} while it started.", hint=end.hint)
                    _LOG.warning("the maker %s while it started; another is started", end.words)
                    stop.wait(kills * self._pace.retry_s)
                    bench.close()
                    self._bench = bench = Workbench(self._settings)
                    started = time.monotonic()
            if time.monotonic() - started > self._pace.load_s:
                raise HibariError(f"the maker was not ready after {self._pace.load_s:g} seconds.")
        return None

    def _here(self) -> Collection[str]:
        """The models of this machine, looked for again now and then."""
        if time.monotonic() > self._looked_at + MODELS_KEPT_S:
            self._names, self._looked_at = frozenset(catalog.names(self._settings)), time.monotonic()
        return self._names

    def _claim(self, queue: Queue, models: Collection[str] | None) -> Job | None:
        held = self._holding()
        try:
            allowed = self._here() if models is None else models
            return queue.claim(self._owner, allowed, held.models if held is not None else ())
        except StoreError as error:
            _LOG.warning("nothing can be claimed: %s", error)
            time.sleep(self._pace.retry_s)
            return None
