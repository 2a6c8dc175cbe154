"""The pulse of a running job: a thread that keeps its lease, tells its progress, and notices when it is lost."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from hibari.errors import StoreError
from hibari.serve.journal import about_job
from hibari.store.queue import Job, Queue

_LOG = logging.getLogger(__name__)


class Pulse:
    """One claim's heartbeat. `lost` is set when the job was deleted, or is another's by now.

    The thread that beats may hang in the database, so `is_lost` looks at the lease by itself.
    """

    def __init__(self, queue: Queue, job: Job, *, tick_s: float) -> None:
        self.lost = Event()
        self._queue, self._job, self._tick_s = queue, job, tick_s
        self._progress = self._told = 0
        self._kept_at, self._told_at = time.monotonic(), -tick_s
        self._over, self._woken = Event(), Event()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat while the block runs."""
        thread = Thread(target=self._beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._woken.set()
            thread.join()

    def advance(self, progress: int, *, soon: bool = True) -> None:
        """Note how far the job is, 0 to 99. It is told at once if `soon` and nothing was for a tick, else by the next.

        What comes before the first denoising step is over in a moment, and telling it would hold that step's back.
        """
        self._progress = progress
        if soon and progress > self._told and time.monotonic() - self._told_at >= self._tick_s:
            self._woken.set()

    def is_lost(self) -> bool:
        """Whether the job is gone; without a beat for a whole lease, another may have taken it."""
        if time.monotonic() - self._kept_at > self._queue.lease_s:
            self.lost.set()
        return self.lost.is_set()

    def _beat(self) -> None:
        try:
            with about_job(self._job.id, self._job.request):
                self._keep()
        finally:
            if not self._over.is_set():  # a heart that stopped has lost its job
                self.lost.set()

    def _keep(self) -> None:
        while not self.is_lost():
            self._woken.wait(self._tick_s)
            self._woken.clear()
            if self._over.is_set():
                return
            try:
                self._look()
            except StoreError as error:
                _LOG.warning("no beat: %s", error)

    def _look(self) -> None:
        """Renew the lease where that is due or there is progress to tell; else only look whether the job is there."""
        due = time.monotonic() - self._kept_at > self._queue.lease_s / 3
        progress = self._progress
        if due or progress > self._told:
            began = time.monotonic()
            if self._queue.beat(self._job, progress):
                self._told, self._kept_at, self._told_at = progress, began, began
            else:
                self.lost.set()
        elif self._queue.find(self._job.id) is None:
            self.lost.set()
