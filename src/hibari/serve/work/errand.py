"""One job's life at a worker: its inputs fetched, its making followed, its end written. The loop is `worker`'s."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from hibari.config import ServiceSettings
from hibari.errors import HibariError, InvalidRequest, StoreError
from hibari.serve.asked import Asked
from hibari.serve.files import PREVIEW, blob_of
from hibari.serve.journal import about_job
from hibari.serve.work.keeping import keep
from hibari.serve.work.protocol import Cancel, Failed, Made, Make, Shown, Step, Stopped, Waits
from hibari.serve.work.pulse import Pulse
from hibari.serve.work.workbench import Died, Workbench
from hibari.store.blobs import BlobMissing, Blobs
from hibari.store.holds import HELD_FILE
from hibari.store.queue import Job, Queue

_LOG = logging.getLogger(__name__)
HELD_CLIP = "video.mp4"  # a clip that was held, in the folder of the job that brings it to its video
# Where in the hundred a stage begins and ends, by what they take on hibari-mini.
_SHARES = {
    "screen": (0, 2),
    "load": (2, 5),
    "denoise": (5, 70),
    "frames": (70, 92),
    "sign": (92, 94),
    "stills": (94, 98),
}


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a worker looks, and how long it waits, in seconds.

    `idle_s` at most between two looks at an empty queue, `tick_s` between two looks at a running job. A maker that
    makes no step for `stall_s`, or for `load_s` while it loads a model, is killed; so is one that was cancelled
    `cancel_s` ago. Asked to stop, a worker gives what it makes `farewell_s` to be finished. A database that is gone is
    asked again after `retry_s`.
    """

    idle_s: float = 0.5
    tick_s: float = 0.25
    stall_s: float = 120.0
    load_s: float = 900.0
    cancel_s: float = 5.0
    farewell_s: float = 10.0
    retry_s: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """The maker answers no more, and has to be killed."""


Outcome = Made | Failed | Waits | Stopped | Died | Stuck


@dataclass(kw_only=True)
class Errand:
    """One claimed job, in a private `folder` of its own."""

    job: Job
    queue: Queue
    blobs: Blobs
    folder: Path
    pace: Pace
    keep: ServiceSettings
    stop: Event
    pulse: Pulse = field(init=False)
    _is_shown: bool = False

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.queue, self.job, tick_s=self.pace.tick_s)

    def run(self, bench: Workbench) -> bool:
        """See the job to its end here; whether the maker is still there for the next. Raises StoreError at no time."""
        with about_job(self.job.id, self.job.request), self.pulse.beating(), _made_and_gone(self.folder):
            order = self._order()
            if order is None:
                return True
            bench.tell(order)
            try:
                outcome = self._follow(bench)
            finally:
                self._show(None)
            is_gone = isinstance(outcome, Died | Stuck)
            if is_gone:
                bench.kill()  # before the job is another's, so that the memory is free by then
            self._settle(outcome, order)
            _LOG.info("%s ended as %s", self.job.id, type(outcome).__name__)
        return not is_gone

    def _order(self) -> Make | None:
        """What the maker is told, once the blobs that it needs are here; None where they are not to be had."""
        try:
            asked = Asked.from_dict(self.job.request)
        except InvalidRequest as error:
            _LOG.warning("%s is not understood: %s", self.job.id, error)
            message = str(error)  # the name goes with the block
            self._insist(lambda: self.queue.fail(self.job, "server_error", message))
            return None
        inputs: dict[str, str] = {}
        held = self.job.files.get(HELD_FILE)
        try:
            if held is not None:
                self.blobs.fetch(held, self.folder / HELD_CLIP)
            asked = self._with_latents(asked, inputs)
            for blob in blobs_of(asked):
                if blob not in inputs:
                    self._fetch(blob, inputs)
        except BlobMissing as error:
            _LOG.warning("%s lacks an input: %s", self.job.id, error)
            message = "The video, picture or character that this video starts from is not there any more."
            self._insist(lambda: self.queue.fail(self.job, "invalid_value", message))
            return None
        except HibariError as error:
            _LOG.warning("%s waits for its inputs: %s", self.job.id, error)
            self._insist(lambda: self.queue.crashed(self.job, "The files that this video starts from cannot be read."))
            return None
        return Make(
            job=self.job.id,
            user=self.job.user,
            asked=asked.to_dict(),
            folder=str(self.folder),
            inputs=inputs,
            keep_latents=True,
            held_as=blob_of(self.job, f"{HELD_FILE}{Path(HELD_CLIP).suffix}"),
            generation_id=self.job.generation_id,
            held=HELD_CLIP if held is not None else "",
        )

    def _with_latents(self, asked: Asked, inputs: dict[str, str]) -> Asked:
        """The same with the source's latents fetched, or without them: they go sooner than its video, which has all."""
        if asked.source is None or asked.source.latents is None:
            return asked
        try:
            self._fetch(asked.source.latents, inputs)
        except BlobMissing:
            return replace(asked, source=replace(asked.source, latents=None))
        return asked

    def _fetch(self, blob: str, inputs: dict[str, str]) -> None:
        name = f"in-{len(inputs)}{Path(blob).suffix}"
        self.blobs.fetch(blob, self.folder / name)
        inputs[blob] = name

    def _follow(self, bench: Workbench) -> Outcome:
        """Hear the maker until its last word, and cancel what is lost or has no time any more."""
        moved_at, patience = time.monotonic(), self.pace.stall_s
        cancelled_at: float | None = None
        leaves_at: float | None = None
        while True:
            heard = bench.hear(self.pace.tick_s)
            now = time.monotonic()
            if isinstance(heard, Made | Failed | Waits | Stopped | Died):
                return heard
            if isinstance(heard, Step):
                moved_at, patience = now, self.pace.load_s if heard.stage == "load" else self.pace.stall_s
                self.pulse.advance(percent(heard))
            if isinstance(heard, Shown):
                self._show(heard.name)
            if self.stop.is_set() and leaves_at is None:
                leaves_at = now + self.pace.farewell_s
            is_time = self.pulse.lost.is_set() or (leaves_at is not None and now > leaves_at)
            if is_time and cancelled_at is None:
                cancelled_at = now
                bench.tell(Cancel(job=self.job.id))
            if now - moved_at > patience or (cancelled_at is not None and now - cancelled_at > self.pace.cancel_s):
                return Stuck()

    def _show(self, name: str | None) -> None:
        """Put a preview where the API finds it, in place of the last; or take the last away."""
        try:
            if name is not None:
                self.blobs.put(blob_of(self.job, PREVIEW), self.folder / name)
                self._is_shown = True
            elif self._is_shown:
                self.blobs.delete(blob_of(self.job, PREVIEW))
                self._is_shown = False
        except HibariError as error:
            _LOG.warning("%s has no preview: %s", self.job.id, error)

    def _settle(self, outcome: Outcome, order: Make) -> None:
        """Write the end of the job, or give it to whoever claims it next. What was lost is not ours to end."""
        job, queue = self.job, self.queue
        if isinstance(outcome, Made):
            self._deliver(outcome)
        elif isinstance(outcome, Waits):
            self._hold(outcome, order)
        elif isinstance(outcome, Failed):
            self._insist(lambda: queue.fail(job, outcome.code, outcome.message, reason=outcome.category))
        elif isinstance(outcome, Died) and outcome.for_memory:
            message = "There was not enough memory for this video. Ask for a smaller size, or for fewer seconds."
            self._insist(lambda: queue.fail(job, "out_of_memory", message))
        elif isinstance(outcome, Died) or not (isinstance(outcome, Stopped) or self.stop.is_set()):
            self._insist(lambda: queue.crashed(job, "The process that made this video died, each time it was tried."))
        else:
            self._insist(lambda: queue.give_back(job))

    def _deliver(self, made: Made) -> None:
        """Put the files where the API finds them, and then complete the job: a name in a row is a whole file."""
        assert self.job.lease is not None
        stored: dict[str, str] = {}
        try:
            for kind, name in made.files.items():
                if self.pulse.lost.is_set():
                    break
                stored[kind] = blob_of(self.job, name)
                self.blobs.put(stored[kind], self.folder / name)
        except HibariError as error:
            _LOG.warning("%s cannot be stored: %s", self.job.id, error)
            self._drop(stored)
            self._insist(lambda: self.queue.crashed(self.job, "The finished files could not be stored."))
            return
        is_ours = self._insist(
            lambda: self.queue.complete(
                self.job,
                files=stored,
                generation_id=made.generation_id,
                keep_hours=self.keep.keep_hours,
                latents_hours=self.keep.latents_hours,
            )
        )
        if not is_ours:
            self._drop(stored)
        elif HELD_FILE in self.job.files:  # it is the video by now
            self._drop({HELD_FILE: self.job.files[HELD_FILE]})

    def _hold(self, waits: Waits, order: Make) -> None:
        """Keep what the job needs once a reviewer allows it, and then say that it waits."""
        try:
            kept = keep(self.job, self.blobs, order, waits)
        except HibariError as error:
            _LOG.warning("%s cannot wait: %s", self.job.id, error)
            self._insist(lambda: self.queue.crashed(self.job, "The files of this video could not be stored."))
            return
        is_ours = self._insist(
            lambda: self.queue.hold(
                self.job,
                waits.message,
                generation_id=waits.generation_id,
                files=kept.files,
                request=kept.asked.to_dict(),
                hours=self.keep.hold_hours,
            )
        )
        if not is_ours:
            self._drop(kept.files)

    def _drop(self, stored: dict[str, str]) -> None:
        """Take back files that no row names; what cannot be deleted now is the sweeper's."""
        for blob in stored.values():
            try:
                self.blobs.delete(blob)
            except HibariError as error:
                _LOG.warning("%s stays for now: %s", blob, error)

    def _insist(self, change: Callable[[], bool]) -> bool:
        """Change the row, as long as it takes for the database to be there; False once the job is lost."""
        while not self.pulse.lost.is_set():
            try:
                return change()
            except StoreError as error:
                _LOG.warning("%s waits for the database: %s", self.job.id, error)
                time.sleep(self.pace.retry_s)
        return False


def blobs_of(asked: Asked) -> list[str]:
    """The blobs that a job starts from, each once."""
    source = asked.source
    named = [asked.input, *((source.video, source.latents) if source else ())]
    named += [character.file for character in asked.characters]
    return list(dict.fromkeys(blob for blob in named if blob is not None))


def percent(step: Step) -> int:
    """How far a job is, 0 to 98, by its stage and its place in it."""
    first, last = _SHARES[step.stage]
    return first + (last - first) * step.done // max(1, step.total)


@contextmanager
def _made_and_gone(folder: Path) -> Iterator[None]:
    """A folder while the block runs."""
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder)
