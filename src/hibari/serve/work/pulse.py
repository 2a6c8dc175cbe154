"""The pulse of a running job: a thread that keeps its lease, tells its progress, and notices when it is lost."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from hibari.errors import StoreError
from hibari.store.queue import Job, Queue

_LOG = logging.getLogger(__name__)


class Pulse:
    """One claim's heartbeat. `lost` is set when the job was deleted, or is another's by now."""

    def __init__(self, queue: Queue, job: Job, *, tick_s: float) -> None:
        self.progress = 0
        self.lost = Event()
        self._queue, self._job, self._tick_s = queue, job, tick_s
        self._told = 0
        self._kept_at = time.monotonic()
        self._over = Event()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat while the block runs."""
        thread = Thread(target=self._beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _beat(self) -> None:
        try:
            self._keep()
        finally:
            if not self._over.is_set():  # a heart that stopped has lost its job
                self.lost.set()

    def _keep(self) -> None:
        while not self._over.wait(self._tick_s) and not self.lost.is_set():
            try:
                self._look()
            except StoreError as error:
                _LOG.warning("no beat: %s", error, extra={"video": self._job.id})
            # Without a beat for a whole lease, another may have taken the job: the database is not there to ask.
            if time.monotonic() - self._kept_at > self._queue.lease_s:
                self.lost.set()

    def _look(self) -> None:
        """Renew the lease where that is due or there is progress to tell; else only look whether the job is there."""
        due = time.monotonic() - self._kept_at > self._queue.lease_s / 3
        progress = self.progress
        if due or progress > self._told:
            began = time.monotonic()
            if self._queue.beat(self._job, progress):
                self._told, self._kept_at = progress, began
            else:
                self.lost.set()
        elif self._queue.find(self._job.id) is None:
            self.lost.set()
