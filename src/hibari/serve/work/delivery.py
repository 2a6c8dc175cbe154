"""The way of one job's files and of its last word: a store that is away is waited for, and nothing named is deleted.

The answer to a change may be lost after it was made. So what the row says decides which files stay, and not the answer.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TypeVar

from hibari.config import ServiceSettings
from hibari.errors import HibariError, OutputError, StoreError
from hibari.serve.files import blob_of
from hibari.serve.work.keeping import keep
from hibari.serve.work.protocol import Made, Make, Waits
from hibari.serve.work.pulse import Pulse
from hibari.store.blobs import BlobMissing, Blobs
from hibari.store.holds import HELD_FILE
from hibari.store.queue import Job, Queue

_LOG = logging.getLogger(__name__)
_Got = TypeVar("_Got")


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """Of one claimed job, whose files lie in `folder`.

    A place for files that is away is asked again every `retry_s`, for `files_s` or until `stop` is set; the database as
    long as the lease holds. What cannot be stored then is no fault of the job's, which is given back.
    """

    job: Job
    queue: Queue
    blobs: Blobs
    folder: Path
    service: ServiceSettings
    pulse: Pulse
    stop: Event
    retry_s: float
    files_s: float

    def fetch(self, blob: str, name: str) -> None:
        """Bring a blob into the folder; raises BlobMissing, and OutputError where the store stays away."""
        self._patiently(lambda: self.blobs.fetch(blob, self.folder / name))

    def deliver(self, made: Made) -> None:
        """Put the files where the API finds them, and then complete the job: a name in a row is a whole file."""
        stored = {kind: blob_of(self.job, name) for kind, name in made.files.items()}
        try:
            for kind, name in made.files.items():
                if self.pulse.is_lost():
                    break
                self._patiently(partial(self.blobs.put, stored[kind], self.folder / name))
        except HibariError as error:
            self.give_back(f"cannot be stored: {error}")
            return
        is_ours = self.insist(
            lambda: self.queue.complete(
                self.job,
                files=stored,
                generation_id=made.generation_id,
                keep_hours=self.service.keep_hours,
                latents_hours=self.service.latents_hours,
            )
        )
        held = [self.job.files[HELD_FILE]] if HELD_FILE in self.job.files else []  # it is the video by now
        if held or not is_ours:
            self._drop_unnamed([*stored.values(), *held])

    def hold(self, waits: Waits, order: Make) -> None:
        """Keep what the job needs once a reviewer allows it, and then say that it waits."""
        try:
            kept = self._patiently(lambda: keep(self.job, self.blobs, order, waits))
        except HibariError as error:
            self.give_back(f"cannot wait: {error}")
            return
        is_ours = self.insist(
            lambda: self.queue.hold(
                self.job,
                waits.message,
                generation_id=waits.generation_id,
                files=kept.files,
                request=kept.asked.to_dict(),
                hours=self.service.hold_hours,
            )
        )
        if not is_ours:
            self._drop_unnamed(kept.files.values())

    def give_back(self, why: str) -> None:
        """Leave the job to whoever claims it next, for a reason that is not its own."""
        _LOG.warning("%s %s", self.job.id, why)
        self.insist(lambda: self.queue.give_back(self.job))

    def insist(self, change: Callable[[], bool]) -> bool:
        """Change the row, as long as it takes for the database to be there; False once the job is lost.

        False too where it was changed and the answer was lost: the second time it is not ours any more.
        """
        while not self.pulse.is_lost():
            try:
                return change()
            except StoreError as error:
                _LOG.warning("%s waits for the database: %s", self.job.id, error)
                time.sleep(self.retry_s)
        return False

    def _patiently(self, do: Callable[[], _Got]) -> _Got:
        """Do something with the place for files, as long as it takes for it to be there."""
        until = time.monotonic() + self.files_s
        while True:
            try:
                return do()
            except BlobMissing:
                raise
            except OutputError as error:
                if self.pulse.is_lost() or self.stop.wait(self.retry_s) or time.monotonic() > until:
                    raise
                _LOG.warning("%s waits for the place for files: %s", self.job.id, error)

    def _drop_unnamed(self, blobs: Iterable[str]) -> None:
        """Delete those that the row does not name; what is unclear or cannot be deleted now goes with the video."""
        mine = self.job.lease
        assert mine is not None
        try:
            found = self.queue.find(self.job.id)
            now = found.lease if found is not None else None
            if now is not None and (now.owner, now.attempt) == (mine.owner, mine.attempt):
                return  # our own change may still be on its way
            named = set(found.files.values()) if found is not None else set()
            for blob in blobs:
                if blob not in named:
                    self.blobs.delete(blob)
        except HibariError as error:
            _LOG.warning("files of %s stay for now: %s", self.job.id, error)
