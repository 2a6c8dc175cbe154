"""One job's life at a worker: its inputs fetched, its making followed. The end is `delivery`'s."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from hibari.config import ServiceSettings
from hibari.errors import HibariError, InvalidRequest, WrongSecrets
from hibari.serve.asked import Asked
from hibari.serve.files import PREVIEW, blob_of
from hibari.serve.journal import about_job
from hibari.serve.work.delivery import Carrier
from hibari.serve.work.fitting import Fitting
from hibari.serve.work.protocol import Cancel, Failed, Made, Make, NotReady, Shown, Step, Stopped, Waits
from hibari.serve.work.pulse import Pulse
from hibari.serve.work.workbench import Died, Workbench
from hibari.store.blobs import BlobMissing, Blobs
from hibari.store.holds import HELD_FILE
from hibari.store.queue import Job, Queue

_LOG = logging.getLogger(__name__)
DIED = "The process that made this video died, each time it was tried."
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
_BEFORE = ("screen", "load")  # anything is made


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a worker looks, and how long it waits, in seconds.

    `idle_s` at most between two looks at an empty queue, `tick_s` between two looks at a running job. A maker that
    makes no step for `stall_s`, or for `load_s` while it loads a model, is killed; so is one that was cancelled
    `cancel_s` ago. Asked to stop, a worker gives what it makes `farewell_s` to be finished. A database that
    is gone, or a place for files, is asked again after `retry_s`, and files are waited for `files_s` in all.
    """

    idle_s: float = 0.5
    tick_s: float = 0.25
    stall_s: float = 600.0
    load_s: float = 900.0
    cancel_s: float = 5.0
    farewell_s: float = 10.0
    retry_s: float = 1.0
    files_s: float = 1800.0


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """The maker answers no more, and has to be killed."""


Outcome = Made | Failed | Waits | Stopped | NotReady | Died | Stuck
_ENDS: dict[type[Outcome], str] = {
    Made: "is made",
    Failed: "has failed",
    Waits: "waits for a reviewer",
    Stopped: "was stopped",
    NotReady: "cannot be made on this machine",
    Died: "lost its maker, which died",
    Stuck: "lost its maker, which was stuck",
}


@dataclass(kw_only=True)
class Errand:
    """One claimed job, in a private `folder` of its own."""

    job: Job
    queue: Queue
    blobs: Blobs
    folder: Path
    pace: Pace
    service: ServiceSettings
    stop: Event
    fitting: Fitting
    pulse: Pulse = field(init=False)
    carrier: Carrier = field(init=False)
    _is_shown: bool = False
    _is_begun: bool = False

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.queue, self.job, tick_s=self.pace.tick_s)
        self.carrier = Carrier(
            job=self.job,
            queue=self.queue,
            blobs=self.blobs,
            folder=self.folder,
            service=self.service,
            pulse=self.pulse,
            stop=self.stop,
            retry_s=self.pace.retry_s,
            files_s=self.pace.files_s,
        )

    def run(self, bench: Workbench) -> bool:
        """See the job to its end here; whether the maker is still there for the next. Raises StoreError at no time.

        Raises WrongSecrets where none can be made on this machine; the job is another worker's then.
        """
        with about_job(self.job.id, self.job.request), self.pulse.beating(), _made_and_gone(self.folder):
            order = self._order()
            if order is None:
                return True
            began = time.monotonic()
            _LOG.info("%s begins: %s, %g s", self.job.id, order.asked["size"] or "no size", order.asked["seconds"])
            bench.tell(order)
            try:
                outcome = self._follow(bench)
            finally:
                self._show(None)
            is_gone = isinstance(outcome, Died | Stuck)
            if is_gone:
                bench.kill()  # before the job is another's, so that the memory is free by then
            self._settle(outcome, order)
            _LOG.info("%s %s (%.1f s)", self.job.id, _ENDS[type(outcome)], time.monotonic() - began)
            if isinstance(outcome, NotReady):
                raise WrongSecrets(outcome.message)
        return not is_gone

    def _order(self) -> Make | None:
        """What the maker is told, once the blobs that it needs are here; None where they are not to be had."""
        carrier = self.carrier
        try:
            asked = Asked.from_dict(self.job.request)
        except InvalidRequest as error:
            _LOG.warning("%s is not understood: %s", self.job.id, error)
            message = str(error)  # the name goes with the block
            carrier.insist(lambda: self.queue.fail(self.job, "server_error", message))
            return None
        inputs: dict[str, str] = {}
        held = self.job.files.get(HELD_FILE)
        try:
            if held is not None:
                carrier.fetch(held, HELD_CLIP)
            asked = self._with_latents(asked, inputs)
            for blob in blobs_of(asked):
                if blob not in inputs:
                    self._fetch(blob, inputs)
        except BlobMissing as error:
            _LOG.warning("%s lacks an input: %s", self.job.id, error)
            message = "The video, picture or character that this video starts from is not there any more."
            carrier.insist(lambda: self.queue.fail(self.job, "invalid_value", message))
            return None
        except HibariError as error:
            carrier.give_back(f"waits for its inputs: {error}")
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
        self.carrier.fetch(blob, name)
        inputs[blob] = name

    def _follow(self, bench: Workbench) -> Outcome:
        """Hear the maker until its last word, and cancel what is lost or has no time any more."""
        moved_at, patience = time.monotonic(), self.pace.stall_s
        cancelled_at: float | None = None
        leaves_at: float | None = None
        while True:
            heard = bench.hear(self.pace.tick_s)
            now = time.monotonic()
            if isinstance(heard, Made | Failed | Waits | Stopped | NotReady | Died):
                return heard
            if isinstance(heard, Step):
                self._is_begun = self._is_begun or heard.stage not in _BEFORE
                moved_at, patience = now, self.pace.load_s if heard.stage == "load" else self.pace.stall_s
                self.pulse.advance(percent(heard), soon=heard.done > 0 and heard.stage not in _BEFORE)
            if isinstance(heard, Shown):
                self._show(heard.name)
            if self.stop.is_set() and leaves_at is None:
                leaves_at = now + self.pace.farewell_s
                id, left = self.job.id, self.pace.farewell_s
                _LOG.info("stopping: %s is finished within %g s, or goes back into the queue", id, left)
            is_time = self.pulse.is_lost() or (leaves_at is not None and now > leaves_at)
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
        job, queue, carrier = self.job, self.queue, self.carrier
        asked = Asked.from_dict(order.asked)
        if isinstance(outcome, Made):
            self.fitting.finished(asked)
            carrier.deliver(outcome)
        elif isinstance(outcome, Waits):
            carrier.hold(outcome, order)
        elif _is_too_large(outcome):
            carrier.insist(lambda: queue.fail(job, "out_of_memory", self.fitting.advice(asked)))
        elif isinstance(outcome, Failed):
            category, unmade = outcome.category, not self._is_begun
            carrier.insist(lambda: queue.fail(job, outcome.code, outcome.message, reason=category, unmade=unmade))
        elif isinstance(outcome, Died) or not (isinstance(outcome, Stopped | NotReady) or self.stop.is_set()):
            carrier.insist(lambda: queue.crashed(job, "The process that made this video died, each time it was tried."))
        elif self.pulse.is_lost():
            _LOG.info("%s was deleted, or is another's by now", job.id)
        else:
            carrier.give_back("goes back into the queue")


def _is_too_large(outcome: Outcome) -> bool:
    """Whether memory ran out, as the maker or the operating system says."""
    if isinstance(outcome, Failed):
        return outcome.code == "out_of_memory"
    return isinstance(outcome, Died) and outcome.for_memory


def blobs_of(asked: Asked) -> list[str]:
    """The blobs that a job starts from, each once."""
    source = asked.source
    named = [asked.input, asked.end_image, *((source.video, source.latents) if source else ())]
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
