"""The walk from a job to its file: load, denoise, decode, and out through the door."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from itertools import chain
from math import prod
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from hibari import catalog
from hibari.config import Settings
from hibari.errors import Cancelled, InvalidRequest
from hibari.media.files import beside, check_writable
from hibari.media.suffixes import format_of
from hibari.produce.foreseen import Fit, Made, fit_plan, made_in
from hibari.produce.frames import decoded, enough_memory
from hibari.produce.held import HeldModels
from hibari.produce.job import Job, check, plainest, prepare
from hibari.produce.latents import Kept, digest_of, keeping
from hibari.produce.previews import Previewer, Previews
from hibari.produce.progress import OnProgress, Progress, Stopwatch
from hibari.produce.record import CLIP_FROM, KEPT_LATENTS, RUN_BY, Record, request_as_dict
from hibari.provenance.ids import GenerationId
from hibari.request import GenerationRequest

if TYPE_CHECKING:
    # Even numpy waits until there are pixels: a refusal should come at once.
    from torch import Tensor

    from hibari.generate.backend import Backend
    from hibari.media.fit import Frame
    from hibari.produce.door import Door
    from hibari.produce.passage import Allowance, HeldPlace, Passage
    from hibari.produce.replay import Replayed
    from hibari.produce.unfinished import Unfinished
    from hibari.provenance.ledger import Making
    from hibari.provenance.region import MetadataLabel


class Hibari:
    """A place that makes videos: settings, the door, and the models that were used last, kept for the next request."""

    def __init__(self, settings: Settings | None = None, **given: str | Path | int) -> None:
        """Settings as they are, or read from `given` (home, model, device, dtype, threads …) and the environment."""
        if settings is not None and given:
            raise InvalidRequest("settings are given twice.", option=next(iter(given)))
        self.settings = settings or Settings.load(**given)
        self._door: Door | None = None
        self._models = HeldModels(self.settings)

    @property
    def door(self) -> "Door":
        """What every file passes; opened on first use, and raises what keeps it shut."""
        if self._door is None:
            from hibari.produce.door import Door

            self._door = Door.open(self.settings)
        return self._door

    def follow(self) -> None:
        """Of a torchrun's processes all but the first: work with it until it is done. They make no file."""
        self._models.follow()

    def close(self) -> None:
        """Let the other processes of a torchrun go, where there are any."""
        self._models.close()

    @property
    def held(self) -> tuple[str, ...]:
        """The names of the models that are loaded."""
        return self._models.names

    def load(self) -> None:
        """Open the door and load the model of the settings, so that the first request need not wait for them."""
        self.door  # noqa: B018  # it opens when it is asked for
        card = catalog.find(self.settings.model, self.settings).card
        model, plan = check(plainest(card), self.settings)
        self._models.get(model, fit_plan(model, plan, self.settings))

    def prepare(self, request: GenerationRequest, output: Path | str | None = None) -> Job:
        """Everything that can be said about a request before torch is loaded; raises what is wrong with it."""
        return prepare(request, output, self.settings)

    def generate(
        self,
        request: GenerationRequest | Job,
        *,
        output: Path | str | None = None,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
        user: str | None = None,
        keep_latents: Path | None = None,
        previews: Previews | None = None,
        held_place: "HeldPlace | None" = None,
    ) -> Record:
        """Make a file and return its record; raises HibariError, and Cancelled once `cancel` is set.

        `output` names the file (the suffix says video or still); without it a name is made from the prompt,
        in the current folder. `user` is whose generation it is, the settings' own by default. `keep_latents` names a
        file for the latents, so that the clip can be redrawn or extended without being encoded (`request.latents`).
        `previews` says where to show a frame of it while it is made, if there is memory for that. A model that
        diffusers runs has no latents: it keeps none, and shows nothing before its frames.
        Nothing is left behind where this raises; where it raises Held, the request or the file waits for a reviewer:
        in the data folder, or to the `held_place` of a video of the service.
        """
        if keep_latents is not None:
            check_writable(keep_latents)
        job = request if isinstance(request, Job) else self.prepare(request, output)
        if keep_latents is not None and not job.model.form.has_latents:
            raise InvalidRequest(f"{job.model.name} hands out no latents.", option="keep_latents", hint="Leave it out.")
        orders = _Orders(on_progress=on_progress, cancel=cancel, user=user, keep=keep_latents, previews=previews)
        return self._produce(job, replace(orders, held_place=held_place))

    def replay(
        self,
        id: GenerationId,
        *,
        output: Path | str | None = None,
        on_progress: OnProgress | None = None,
        user: str | None = None,
    ) -> "Replayed":
        """Make a recorded generation again, under an id of its own; raises InvalidRequest where that cannot be.

        The new one is `user`'s; what was attested about its sources stays whose it was.
        """
        from hibari.produce.replay import Replayed, request_of

        entry = self.door.ledger.find(id)
        if entry is None:
            raise InvalidRequest(f"{id} is not recorded here.", option="id", hint="`hibari ledger list` shows what is.")
        request, values = request_of(entry), entry.request
        assert values is not None, "request_of has read it"
        made = Made.of(values)
        job = prepare(request, output, self.settings, made)
        if job.revision != entry.revision:
            raise InvalidRequest(
                f"{id} was made by revision {entry.revision} of {entry.model}, and {job.revision} is here.",
                option="id",
                hint="Install that revision.",
            )
        record = self._produce(job, _Orders(on_progress=on_progress, user=user, replay_of=id))
        from_latents = values.get(CLIP_FROM) == KEPT_LATENTS
        return Replayed(record=record, making=entry.making, from_latents=from_latents, ran_out=made.ran_out)

    def finish(
        self, id: GenerationId, *, output: Path | str | None = None, on_progress: OnProgress | None = None
    ) -> Record:
        """Deliver a video that was made and not finished, as `unfinished` kept it; raises as `generate` does.

        It is screened as a new request, gets an id of its own, and stays whose it was. Where it fails again, it is kept
        as it was.
        """
        from hibari.produce.replay import asked_again
        from hibari.produce.unfinished import find

        kept = find(self.settings.home, id)
        request = asked_again(id, kept.request, kept.model, kept.sources_sha256)
        job = prepare(request, output, self.settings, Made(storage=kept.storage))
        if job.model.weights_sha256 != kept.weights_sha256:
            raise InvalidRequest(f"{id} was made by other weights of {kept.model}.", option="latents")
        first = GenerationId.parse(kept.repeats) if kept.repeats is not None else None
        orders = _Orders(on_progress=on_progress, user=kept.user, replay_of=first, unfinished=kept, finishes=id)
        return self._produce(job, orders)

    def make_allowed(
        self, allowance: "Allowance", *, output: Path | str, on_progress: OnProgress | None = None
    ) -> Record:
        """Make a held request under the id that it waited under; `produce.review` sees to who may allow it.

        Raises as `generate` does: Held again where its frames are held. The decision is recorded with what is made,
        or with what the screens refuse; where anything fails before that, the request waits as before.
        """
        from hibari.produce.review import replay_of, request_of_held

        job = self.prepare(request_of_held(allowance.item, self.settings), output)
        first = replay_of(allowance.item)
        return self._produce(job, _Orders(on_progress=on_progress, replay_of=first, allowance=allowance))

    def _produce(self, job: Job, orders: "_Orders") -> Record:
        from hibari.produce.passage import Allowance, Passage

        watch, held_place, allowance = Stopwatch(), orders.held_place, orders.allowance
        if held_place is not None and held_place.allowed is not None:
            allowance = Allowance(item=held_place.allowed)
        passage = Passage(
            door=self.door,
            job=job,
            watch=watch,
            owner=orders.user,
            replay_of=orders.replay_of,
            allowance=allowance,
            held_place=held_place,
        )
        with enough_memory():
            return _Production(job, passage, watch, orders).run(self._models)


@dataclass(frozen=True, kw_only=True)
class _Orders:
    """What is said with a job, and is no part of what is to be made."""

    on_progress: OnProgress | None = None
    cancel: Event | None = None
    user: str | None = None
    keep: Path | None = None
    replay_of: GenerationId | None = None
    allowance: "Allowance | None" = None
    previews: Previews | None = None
    held_place: "HeldPlace | None" = None
    unfinished: "Unfinished | None" = None
    finishes: GenerationId | None = None  # where it is kept


@dataclass
class _Production:
    """One job on its way."""

    job: Job
    passage: "Passage"
    watch: Stopwatch
    orders: _Orders
    digest: Any = field(default_factory=hashlib.sha256)
    earlier: int = 0  # rendered frames by which what is new begins before the plan has it

    def run(self, models: HeldModels) -> Record:
        from hibari.produce.unfinished import check_room
        from hibari.provenance.ledger import Making

        job, plan, passage = self.job, self.job.plan, self.passage
        self._tell("screen", 0, 1)
        passage.facts |= made_in(job.fit)
        passage.admit()
        self._tell("screen", 1, 1)
        if self._is_kept:
            check_room(passage.door.home, prod(job.model.strides.latent(plan.render)))
        self._tell("load", 0, 1)
        with self.watch("load"):
            generator = models.get(job.model, job.fitted)
        if job.model.form.backend == "diffusers":
            passage.facts[RUN_BY] = f"diffusers {version('diffusers')}"
        self._tell("load", 1, 1)
        self._tell("denoise", 0, plan.visits)
        with self.watch("denoise"):
            latent = self._latent(generator)

        def making() -> Making:
            self._tell("sign", 0, 1)
            keep(self._kept(latent))
            return Making(
                device=str(generator.device),
                dtype=str(generator.dtype).removeprefix("torch."),
                threads=generator.num_threads,
                latents_sha256=digest_of(latent),
                frames_sha256=self.digest.hexdigest(),
            )

        with self._safe(latent), keeping(self.orders.keep) as keep:
            record = deliver(passage, self._delivered(decoded(generator, latent, job.fit, self._ran_out)), making)
            self._tell("sign", 1, 1)
            return passage.hand_over(record)

    def _latent(self, generator: "Backend") -> "Tensor":
        """The latent that was kept of an unfinished making, or a new one."""
        if (unfinished := self.orders.unfinished) is None:
            return self._make_latent(generator)
        self.earlier = unfinished.earlier
        if unfinished.clip_from is not None:
            self.passage.facts[CLIP_FROM] = unfinished.clip_from
        return unfinished.latent_CTHW

    @property
    def _is_kept(self) -> bool:
        """Whether there are latents, and a person who could come back for them."""
        return self.job.model.form.has_latents and self.orders.held_place is None

    def _safe(self, latent: "Tensor") -> AbstractContextManager[None]:
        """Keep the latent until it is delivered, where there is somebody to come back for it."""
        from hibari.produce.unfinished import Unfinished, safe

        job, passage = self.job, self.passage
        if not self._is_kept:
            return nullcontext()
        unfinished = Unfinished(
            latent_CTHW=latent,
            user=passage.user,
            repeats=str(passage.replay_of) if passage.replay_of is not None else None,
            request=request_as_dict(job.request, job.plan),
            sources_sha256=[each.sha256 for each in job.brought],
            model=job.named,
            weights_sha256=job.model.weights_sha256,
            storage=job.fit.storage,
            earlier=self.earlier,
            clip_from=passage.facts.get(CLIP_FROM),
        )
        return safe(passage.door.home, self.orders.finishes or passage.id, unfinished)

    def _ran_out(self, way: Fit) -> None:
        self.passage.facts |= made_in(way, ran_out=True)

    def _make_latent(self, generator: "Backend") -> "Tensor":
        from hibari.generate.backend import Prompt
        from hibari.produce.known import known_of

        job, plan, passage = self.job, self.job.plan, self.passage
        known = known_of(job, generator, passage.attested.clip)
        if job.clip is not None:
            passage.facts[CLIP_FROM] = KEPT_LATENTS if known.kept else "frames"
        self.earlier = known.earlier
        prompt = Prompt(job.request.prompt, job.request.negative)
        tell = partial(self._tell, "denoise", total=plan.visits)
        wanted = self.orders.previews if job.fitted is None or job.fitted.has_room_for_previews else None
        show = Previewer(wanted=wanted, passage=passage, decode=generator.decode) if wanted is not None else None
        return generator.make_latent(plan, prompt, known.conditions, tell, on_estimate=show)

    def _kept(self, latent: "Tensor") -> Kept:
        """The latents as they are kept: the plan says where they begin, and how far they go beyond the file."""
        plan, rate = self.job.plan, self.job.model.card.fps
        after = plan.picks[0] - self.earlier + len(plan.picks) * rate // plan.fps
        whole = plan.source is None or not plan.source.kept
        return Kept(latent_CTHW=latent, beyond=plan.render.frames - after, whole=whole)

    def _delivered(self, rendered: Iterator["Frame"]) -> Iterator["Frame"]:
        """The frames of the file before any mark, in order, at the delivered size: a clip's own, and those made."""
        from hibari.media.fit import fit

        plan, clip = self.job.plan, self.job.clip
        frames = self._picked(rendered)
        if plan.source is not None and plan.source.kept:
            assert clip is not None
            frames = chain(self._timed(clip.frames(plan.source.kept)), frames)
        for done, frame in enumerate(frames, 1):
            with self.watch("decode"):
                fitted = fit(frame, *plan.delivered)
            self.digest.update(fitted.tobytes())
            self._tell("frames", done, plan.frames)
            yield fitted

    def _picked(self, rendered: Iterator["Frame"]) -> Iterator["Frame"]:
        """The rendered frames that are delivered, as often as each is shown."""
        shown = Counter(pick - self.earlier for pick in self.job.plan.picks)
        timed = self._timed(rendered)
        for index in range(max(shown) + 1):
            frame = next(timed, None)
            assert frame is not None, "a latent holds what its plan says"
            for _ in range(shown[index]):
                yield frame

    def _timed(self, frames: Iterator["Frame"]) -> Iterator["Frame"]:
        while True:
            with self.watch("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self.orders.cancel is not None and self.orders.cancel.is_set():
            raise Cancelled("stopped as asked.")
        if self.orders.on_progress is not None:
            self.orders.on_progress(Progress(stage=stage, done=done, total=total))


def deliver(passage: "Passage", frames: Iterator["Frame"], making: Callable[[], "Making"]) -> Record:
    """Write the unmarked `frames` of a passage into its file: screened, marked, signed and recorded, or no file.

    `making` is asked once the frames are written, for what is recorded of them. The record is not yet handed over.
    """
    # Whoever may read the target's folder is not to find an unsigned or held file there, not even after a crash.
    with beside(passage.job.target, keep=False, private=True, folder=passage.door.workshop) as unsigned:
        with passage.watch("encode"):
            _encode(unsigned, passage.job, passage.frames(frames), passage.metadata_label)
        made = making()
        with beside(passage.place, keep=False) as partial:
            return passage.release(unsigned, partial, made)


def _encode(path: Path, job: Job, frames: Iterator["Frame"], label: "MetadataLabel | None") -> None:
    from hibari.media import encode

    form = format_of(job.target)
    if form.kind == "still":
        encode.write_still(path, next(frames), form.encoder, xmp=label.xmp() if label else "")
    else:
        encode.write_video(path, frames, job.plan.fps, tags=label.tags() if label else {})
