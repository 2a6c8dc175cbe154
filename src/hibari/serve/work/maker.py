"""The maker: one process with torch in it, which makes what its worker orders. `python -m hibari.serve.work.maker`

It knows no queue, no database of jobs and no blobs: an order names a private folder, and the files of the job are put
there, each through the one door. Standard output is the pipe to the worker, and nothing else may write there. Where
the worker is gone, the maker ends at once: what it was making is nobody's.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, BinaryIO

from hibari.config import Settings
from hibari.errors import (
    BadMedia,
    BadWeights,
    Cancelled,
    Held,
    HibariError,
    InvalidRequest,
    MissingDependency,
    OutputError,
    Refused,
    UnknownModel,
    WrongSecrets,
)
from hibari.machine import Holding, device_bytes, pick_device, resident_bytes
from hibari.produce import Hibari, Previews, Progress, Record
from hibari.produce.frames import is_no_memory
from hibari.produce.replay import COMPONENTS
from hibari.provenance.ids import GenerationId
from hibari.request import GenerationRequest
from hibari.serve.asked import Asked
from hibari.serve.files import PREVIEW
from hibari.serve.journal import about_job, write_childs_journal
from hibari.serve.pipes import decode_settings, own_stdout
from hibari.serve.work.protocol import (
    Answer,
    Cancel,
    Failed,
    Made,
    Make,
    NotReady,
    Ready,
    Shown,
    Step,
    Stopped,
    Waits,
    decode,
    encode,
)

if TYPE_CHECKING:
    from hibari.produce.passage import HeldPlace
    from hibari.provenance.ledger import HeldItem

_LOG = logging.getLogger(__name__)
HOLDING_S = 5.0
WAITING = "A reviewer decides: it goes on by itself once it is allowed, so retrieve this video again later."
DAMAGED = "The model's files are damaged on the machine that was to make this; the operator has to look."
PREVIEWS_S = 3.0  # apart at least


def main() -> int:
    """Read settings, open the door, load the model, and make what comes in until the worker is gone."""
    outbox = own_stdout()
    channel = Channel(inbox=sys.stdin.buffer, outbox=outbox)
    settings = decode_settings(channel.inbox.readline())
    write_childs_journal(settings.service.log)
    Thread(target=channel.listen, daemon=True).start()
    try:
        maker = Maker(settings, channel)
    except HibariError as error:
        channel.say(NotReady(message=str(error)))
        return 1
    channel.say(Ready())
    Thread(target=maker.keep_telling, daemon=True).start()
    maker.run()
    return 0


@dataclass
class Channel:
    """Both pipes to the worker. Orders are heard in a thread, so that a Cancel reaches what is being made."""

    inbox: BinaryIO
    outbox: BinaryIO
    orders: "SimpleQueue[Make]" = field(default_factory=SimpleQueue)
    _cancels: dict[str, Event] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def say(self, answer: Answer) -> None:
        """Send an answer; one write, so that no line is torn."""
        self.outbox.write(encode(answer))

    def cancel_of(self, job: str) -> Event:
        """What a Cancel of this job sets, whether it came already or not."""
        with self._lock:
            return self._cancels.setdefault(job, Event())

    def forget(self, job: str) -> None:
        """A job is over."""
        with self._lock:
            self._cancels.pop(job, None)

    def listen(self) -> None:
        """Hear orders until the worker is gone, and then end this process at once, in the middle of a step too."""
        for line in self.inbox:
            order = decode(line)
            if isinstance(order, Cancel):
                self.cancel_of(order.job).set()
            else:
                assert isinstance(order, Make), order
                self.orders.put(order)
        os._exit(0)


class Maker:
    """One `Hibari` with its model loaded, and the pipes to the worker."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        """Open the door and load the model of the settings; raises what keeps it from working."""
        self._channel = channel
        self._hibari = Hibari(settings)
        self._hibari.load()
        self._device = pick_device(settings.device)
        self._tell_holding()

    def run(self) -> None:
        """Make order after order, until the thread that listens ends the process."""
        while True:
            order = self._channel.orders.get()
            with about_job(order.job, order.asked):
                answer = self._answer(order)
                _LOG.info("made: %s", type(answer).__name__)
            self._channel.forget(order.job)
            self._tell_holding()
            self._channel.say(answer)

    def keep_telling(self) -> None:
        """Say every few seconds what is held, also while something is made; for a thread of its own."""
        while True:
            time.sleep(HOLDING_S)
            self._tell_holding()

    def _tell_holding(self) -> None:
        self._channel.say(
            Holding(
                device=str(self._device),
                models=tuple(self._hibari.held),
                memory_bytes=resident_bytes(),
                device_bytes=device_bytes(self._device),
            )
        )

    def _answer(self, order: Make) -> Answer:
        """What became of an order. What is not of its user's or this machine's making ends the process: a crash."""
        try:
            return self._make(order)
        except Cancelled:
            return Stopped(job=order.job)
        except WrongSecrets as error:  # no fault of the request's: another worker may have the right ones
            return NotReady(message=str(error))
        except Refused as error:
            return _failed(order, "moderation_blocked", str(error), error.category)
        except Held as error:
            return self._waits(order, error)
        except (InvalidRequest, BadMedia, UnknownModel, MissingDependency) as error:
            return _failed(order, "invalid_value", str(error))
        except BadWeights as error:
            _LOG.error("%s: %s", order.job, error)  # it names places on this machine: the log's alone
            return _failed(order, "server_error", DAMAGED)
        except (MemoryError, RuntimeError, OutputError) as error:
            # Where memory ran out while frames were delivered, what could not be written says why.
            cause = error.__cause__ if isinstance(error, OutputError) else error
            if not isinstance(cause, Exception) or not is_no_memory(cause):
                raise
            return _failed(order, "out_of_memory", "There was not enough memory.")  # the worker knows what would fit

    def _make(self, order: Make) -> Made:
        folder, asked = Path(order.folder), Asked.from_dict(order.asked)
        is_still = asked.verb == "image"
        kind, output = ("image", "image.png") if is_still else ("video", "video.mp4")
        request, held_place = request_of_job(asked, folder, order.inputs), self._held_place(order, output)
        if order.held and held_place.allowed is not None:
            return self._release(order, held_place.allowed, request)
        job = self._hibari.prepare(request, folder / output)
        keeps = order.keep_latents and not is_still and job.model.form.has_latents
        latents = folder / "latents.safetensors" if keeps else None
        record = self._hibari.generate(
            job,
            on_progress=self._teller(order.job),
            cancel=self._channel.cancel_of(order.job),
            user=order.user,
            keep_latents=latents,
            previews=self._previews(order) if not is_still else None,
            held_place=held_place,
        )
        files = {kind: output}
        if not is_still:
            files |= self._stills(order, record, held_place)
        if latents is not None:
            files["latents"] = latents.name
        return Made(job=order.job, generation_id=record.id.value, files=files)

    def _previews(self, order: Make) -> Previews | None:
        """Where previews go, for an operator who allows them."""
        if self._hibari.settings.service.previews != "on":
            return None

        def tell(is_new: bool) -> None:
            self._channel.say(Shown(job=order.job, name=PREVIEW if is_new else None))

        return Previews(path=Path(order.folder, PREVIEW), tell=tell, every_s=PREVIEWS_S)

    def _held_place(self, order: Make, output: str) -> "HeldPlace":
        """Where goes what is held of a job, with what a reviewer let through for it before."""
        from hibari.produce.passage import HeldPlace

        id, allowed = order.generation_id, None
        if id is not None:
            allowed = self._hibari.door.reviews.allowed(GenerationId(id))
        path = Path(order.folder, f"held{Path(output).suffix}")
        return HeldPlace(video=order.job, path=path, blob=order.held_as, allowed=allowed)

    def _release(self, order: Make, item: "HeldItem", request: GenerationRequest) -> Made:
        """A clip that was held and is allowed, with its stills."""
        from hibari.produce.release import release_clip

        clip = release_clip(self._hibari, item, request, Path(order.folder, order.held))
        files = {"video": order.held}
        if clip.record is None:
            _LOG.warning("%s has no stills: its model is another by now", order.job)
        else:
            try:
                files |= self._stills(order, clip.record, None)
            except Refused as error:  # the reviewer's word is about the clip, which does not go without it
                _LOG.warning("%s has no stills: %s", order.job, error)
        return Made(job=order.job, generation_id=clip.id.value, files=files)

    def _waits(self, order: Make, held: Held) -> Answer:
        """That a job waits for a reviewer. A picture waits for nobody, since it is answered at once."""
        if order.asked["verb"] == "image":
            message = f"{held.reason} {held.advice} A picture waits for no reviewer."
            return _failed(order, "moderation_blocked", message, held.category)
        item = self._hibari.door.reviews.find(GenerationId(held.waits_as))
        assert item is not None, "it was put there"
        file = ""
        if item.file is not None:  # of a still that was held, the reviewer sees the clip
            file = "video.mp4" if COMPONENTS in item.request else "held.mp4"
        message = f"{held.reason} {WAITING} It waits as {item.id}."
        return Waits(job=order.job, generation_id=held.waits_as, message=message, file=file)

    def _stills(self, order: Make, record: Record, held_place: "HeldPlace | None") -> dict[str, str]:
        """A clip's thumbnail and sheet; without a held place they are of a clip that a reviewer let through."""
        from hibari.produce.stills import publish_stills

        if self._channel.cancel_of(order.job).is_set():
            raise Cancelled("stopped as asked.")
        tell, folder = self._teller(order.job), Path(order.folder)
        files = {"thumbnail": "thumbnail.webp", "spritesheet": "spritesheet.jpg"}
        tell(Progress(stage="stills", done=0, total=1))
        publish_stills(
            self._hibari,
            record,
            thumbnail=folder / files["thumbnail"],
            spritesheet=folder / files["spritesheet"],
            user=order.user,
            held_place=held_place,
            seen=held_place is None,
        )
        tell(Progress(stage="stills", done=1, total=1))
        return files

    def _teller(self, job: str) -> Callable[[Progress], None]:
        def tell(progress: Progress) -> None:
            self._channel.say(Step(job=job, stage=progress.stage, done=progress.done, total=progress.total))

        return tell


def _failed(order: Make, code: str, message: str, category: str = "") -> Failed:
    # Where the files lie on this machine is not for whoever asked.
    return Failed(job=order.job, code=code, message=message.replace(f"{order.folder}/", ""), category=category)


def request_of_job(asked: Asked, folder: Path, inputs: dict[str, str]) -> GenerationRequest:
    """The request of a job whose blobs lie in `folder` under the names of `inputs`; raises InvalidRequest."""

    def here(blob: str | None) -> Path | None:
        return folder / inputs[blob] if blob is not None else None

    source = asked.source
    return GenerationRequest(
        prompt=asked.prompt,
        negative=asked.negative,
        model=asked.model,
        size=asked.size,  # type: ignore[arg-type]  # "WxH" is read there
        seconds=asked.seconds,
        fps=asked.fps,
        seed=asked.seed,
        steps=asked.steps,
        guidance=asked.guidance,
        guidance_2=asked.guidance_2,
        flow_shift=asked.flow_shift,
        fast=asked.fast,
        loras=asked.loras,  # type: ignore[arg-type]  # text is read there
        image=here(asked.input),
        end_image=here(asked.end_image),
        strength=asked.strength,
        consent=asked.consent,
        video=here(source.video) if source else None,
        latents=here(source.latents) if source else None,
        extend=asked.verb == "extend",
        references=tuple(folder / inputs[character.file] for character in asked.characters),
    )


if __name__ == "__main__":
    sys.exit(main())
