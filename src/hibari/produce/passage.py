"""One file on its way through the door: screened, fingerprinted, labelled, watermarked, signed, recorded.

What says no, or cannot run, raises Refused; what is held for review goes to the data folder and not to its person.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari.errors import Held, InvalidRequest, Refused
from hibari.generate.plan import Plan
from hibari.media.files import file_sha256, placing
from hibari.media.suffixes import format_of
from hibari.produce.attested import KEPT_A_SECOND, Attested, Statement
from hibari.produce.brought import thumbnail
from hibari.produce.door import Door
from hibari.produce.job import Job
from hibari.produce.progress import Stopwatch
from hibari.produce.record import Record, request_as_dict
from hibari.provenance.credentials.manifest import WATERMARK_ALGORITHM, Origin, Software
from hibari.provenance.credentials.sign import SignedFile, sign_into
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Delivery, Entry, HeldItem, Making, Ruling, Screening, Source
from hibari.provenance.places import HELD
from hibari.provenance.region import METADATA_MARK, MetadataLabel
from hibari.provenance.watermark.keys import WatermarkKey
from hibari.safety import Verdict
from hibari.safety.frames import picked
from hibari.safety.policy import strictest

if TYPE_CHECKING:
    from hibari.media.fit import Frame
    from hibari.provenance.fingerprint import FrameHash
    from hibari.provenance.label import Label
    from hibari.provenance.watermark.marker import Marker

MARKED_AT_ONCE = 8  # frames


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A held request that a reviewer let through: what it was, and the word that is recorded with its file.

    `ruling` None: it is recorded already, and what was made of the request since may have got lost on its way.
    """

    item: HeldItem
    ruling: Ruling | None = None


@dataclass(frozen=True, kw_only=True)
class HeldPlace:
    """Where a file of the service's `video` goes that is held: to `path`, from where its worker keeps it as `blob`.

    `allowed` is what a reviewer let through for the video before.
    """

    video: str
    path: Path
    blob: str
    allowed: HeldItem | None = None


@dataclass
class Passage:
    """One file on its way through the door. What was held and allowed goes under the id that it waited under.

    An allowance opens the request's screens alone: its frames are held or refused like any others. `owner` is whose
    generation it is; the door's own user where nobody is named. `facts` are recorded with the request. What is held
    goes to the data folder, or to the `held_place`. `seen`: a reviewer let through all that is shown, so that nothing
    of it is held again.
    """

    door: Door
    job: Job
    watch: Stopwatch
    id: GenerationId = field(default_factory=GenerationId.new)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    screenings: list[Screening] = field(default_factory=list)
    allowance: Allowance | None = None
    owner: str | None = None
    replay_of: GenerationId | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    held_place: HeldPlace | None = None
    seen: bool = False
    _looked: Verdict | None = None
    _kept: "list[Frame]" = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.allowance is not None:
            id, is_new = self.allowance.item.id, self.allowance.ruling is not None
            if is_new or self.door.ledger.find(id) is None:
                self.id = id

    @property
    def held(self) -> Verdict | None:
        """What the frames are held for, once they were looked at."""
        if self.seen or self._looked is None or self._looked.action != "hold":
            return None
        return self._looked

    @property
    def user(self) -> str:
        """Whose generation it is: an allowed request stays its person's, whoever makes it."""
        return self.allowance.item.user if self.allowance else self.owner or self.door.user

    def admit(self) -> None:
        """Screen the prompt, what it keeps away from, and what was brought; raises Refused, or Held for a reviewer."""
        with self.watch("screen"):
            request = self.job.request
            self._check_allowed()
            minors = self.attested.show_minors
            prompt = self.door.prompts.screen_request(request.prompt, request.negative, minor_upload=minors)
            verdicts = [("prompt", "prompt", prompt)]
            verdicts += [("upload", option, verdict) for option, verdict in self.attested.verdicts()]
            for stage, option, verdict in verdicts:
                self._take(stage, verdict, option)
            held = [each for each in verdicts if each[2].action == "hold"]
            if held and self.allowance is None:
                stage, option, _ = held[0]
                self._queue(stage, option, _together([verdict for _, _, verdict in held]))

    def frames(self, delivered: "Iterator[Frame]") -> "Iterator[Frame]":
        """The frames as they go into the file: screened, kept for their fingerprint, labelled and marked."""
        plan = self.job.plan
        screened, batch = set(picked(plan.frames, plan.fps)), []
        for index, frame in enumerate(delivered):
            if index in screened:
                self._look(frame, None if self.job.request.is_still else index / plan.fps)
            if index >= round(len(self._kept) * plan.fps / KEPT_A_SECOND):
                self._kept.append(thumbnail(frame))
            if self._label is not None:
                frame = self._label.draw(frame)  # noqa: PLW2901  # what follows sees the label too
            batch.append(frame)
            if len(batch) == MARKED_AT_ONCE:
                yield from self._marked(batch)
                batch = []
        if batch:
            yield from self._marked(batch)

    def hand_over(self, record: Record) -> Record:
        """The record, once the file stands; raises Held where it waits for a reviewer."""
        if self.held is not None:
            raise self._waiting("prompt", self.held)
        return record

    def release(self, unsigned: Path, partial: Path, making: Making) -> Record:
        """Sign the encoded file `unsigned` into `partial`, record it and put it into its place: all or nothing.

        Raises what any of these do, OSError too.
        """
        with self.watch("sign"):
            mime = format_of(self.job.target).mime
            signed = sign_into(self.door.house.authority, self._origin(), unsigned, partial, mime)
        with self.watch("record"), placing(partial, self.place) as place:
            entry = self._entry(partial, making, signed)
            self.door.ledger.record(entry, self._hashes(), self._held_item(), self._ruling, last=place)
        return Record(
            id=self.id,
            path=self.job.target,
            request=self.job.request,
            plan=self.job.plan,
            making=making,
            model=entry.model,
            revision=entry.revision,
            file_sha256=entry.delivery.file_sha256,
            seconds=self.watch.seconds,
            notes=signed.notes,
            facts=self.facts,
            replay_of=self.replay_of,
        )

    @property
    def metadata_label(self) -> MetadataLabel | None:
        """What the region's rules ask for in the file's metadata, before it is signed."""
        return self.door.region.metadata_label(self.id)

    @property
    def place(self) -> Path:
        """Where the file goes: as asked, or to those that wait for a reviewer."""
        if self.held is None:
            return self.job.target
        if self.held_place is not None:
            return self.held_place.path
        folder = self.door.home / HELD
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{self.id}{self.job.target.suffix}"

    @property
    def _label(self) -> "Label | None":
        """What is drawn on each frame."""
        return self.door.label

    @cached_property
    def _marker(self) -> "Marker":
        from hibari.provenance.watermark.marker import Marker

        size = self.job.plan.delivered
        return Marker(self._key, self.id.value, size.height, size.width)

    @cached_property
    def _key(self) -> WatermarkKey:
        return self.door.house.current_key()  # asked once: a month may end while frames are marked

    def _look(self, frame: "Frame", at: float | None) -> None:
        """Screen a frame, which is shown `at` a second of the clip (None: it is a picture); raises Refused."""
        with self.watch("screen"):
            verdict = self.door.frames.screen(frame[None], at=at)
            if verdict.action == "refuse":
                self._take("frames", verdict, "prompt")
            self._looked = verdict if self._looked is None else _strictest_of_all([self._looked, verdict])

    @cached_property
    def attested(self) -> Attested:
        """What was brought with the request. What is made again or later rests on the first statement about it."""
        at = self.started if self.allowance is None else self.allowance.item.created_at
        about = self.job.request.consent
        statement = Statement(about=about, user=self.user, at=at, first=self.replay_of)
        return Attested(self.door, self.job.brought, statement)

    def _marked(self, batch: "list[Frame]") -> "Iterator[Frame]":
        import numpy as np

        with self.watch("mark"):
            marked = self._marker.mark(np.stack(batch))
        yield from marked

    def _check_allowed(self) -> None:
        """Raise InvalidRequest unless the files that come with an allowed request are those that it was held with."""
        if self.allowance is not None and self.attested.digests() != self.allowance.item.request["sources_sha256"]:
            raise InvalidRequest(f"what {self.allowance.item.id} started from is another by now.", option="id")

    def _take(self, stage: str, verdict: Verdict, option: str) -> None:
        """Note a verdict; raises Refused for one that refuses, which is recorded too."""
        self.screenings.append(_screening(stage, verdict))
        if verdict.action == "refuse":
            self.door.ledger.record_refusal(self.id, self.user, self.started, self.screenings, self._ruling)
            raise Refused(verdict.reason, option=option, hint=verdict.advice, category=verdict.category)

    def _queue(self, stage: str, option: str, verdict: Verdict) -> None:
        """Put a request into the review queue and say so; raises Held."""
        self.door.reviews.hold(self._item(stage, verdict, file=None))
        raise self._waiting(option, verdict)

    def _waiting(self, option: str, verdict: Verdict) -> Held:
        return Held(
            f"{verdict.reason} It waits as {self.id}.",
            waits_as=self.id.value,
            reason=verdict.reason,
            advice=verdict.advice,
            category=verdict.category,
            option=option,
            hint=f"{verdict.advice} Or let a reviewer decide: `hibari review list` shows what waits.",
        )

    def _item(self, stage: str, verdict: Verdict, file: str | None) -> HeldItem:
        return HeldItem(
            id=self.id,
            created_at=self.started,
            user=self.user,
            stage=stage,
            request=self._asked(),
            categories=verdict.categories,
            reason=verdict.reason,
            file=file,
            video=self.held_place.video if self.held_place is not None else None,
        )

    def _held_item(self) -> HeldItem | None:
        if self.held is None:
            return None
        file = self.held_place.blob if self.held_place is not None else f"{HELD}/{self.place.name}"
        return self._item("frames", self.held, file=file)

    def _request(self) -> dict[str, Any]:
        return request_as_dict(self.job.request, self.job.plan) | self.facts | {"output": self.job.target.name}

    def _asked(self) -> dict[str, Any]:
        """The request as a reviewer reads it, and as it is made once it is allowed."""
        return self._request() | {
            "model": self.job.named,
            "sources_sha256": self.attested.digests(),
            "replay_of": str(self.replay_of) if self.replay_of else None,
        }

    @property
    def _ruling(self) -> Ruling | None:
        return self.allowance.ruling if self.allowance else None

    def _origin(self) -> Origin:
        plan: Plan = self.job.plan
        return Origin(
            id=self.id,
            created_at=self.started,
            action="edited" if self.job.clip is not None else "created",
            software=Software(name="Hibari", version=version("hibari")),
            model=self.job.model.name,
            revision=self.job.revision,
            sources=self.attested.signed(),
            watermark=WATERMARK_ALGORITHM,
            seconds=plan.seconds,
            marks=self._marks(),
        )

    def _marks(self) -> tuple[str, ...]:
        visible = ("visible label",) if self.door.label is not None else ()
        return visible if self.metadata_label is None else (*visible, METADATA_MARK)

    def _entry(self, file: Path, making: Making, signed: SignedFile) -> Entry:
        plan, job = self.job.plan, self.job
        assert self._looked is not None, "no file leaves that nobody looked at"
        return Entry(
            id=self.id,
            created_at=self.started,
            user=self.user,
            request=self._request(),
            seed=plan.seed,
            model=job.model.name,
            revision=job.revision,
            weights_sha256=job.model.weights_sha256,
            making=making,
            delivery=Delivery(
                file_sha256=file_sha256(file),
                file_bytes=file.stat().st_size,
                mime=format_of(job.target).mime,
                width=plan.delivered.width,
                height=plan.delivered.height,
                fps=float(plan.fps) if plan.seconds else 0.0,
                frames=plan.frames,
            ),
            watermark_key=self._key.name,
            manifest=signed.manifest,
            timestamped=signed.timestamped,
            sources=self._sources(),
            screenings=(*self.screenings, _screening("frames", self._looked)),
            replay_of=self.replay_of,
            state="delivered" if self.held is None else "held",
        )

    def _sources(self) -> tuple[Source, ...]:
        return self.attested.recorded()

    def _hashes(self) -> "list[FrameHash]":
        from hibari.provenance.fingerprint import hashes_of, leave_out_sources

        return leave_out_sources(hashes_of(self._kept, KEPT_A_SECOND), self.attested.hashes())


def _screening(stage: str, verdict: Verdict) -> Screening:
    return Screening(
        stage=stage, action=verdict.action, categories=verdict.categories, reason=verdict.reason, advice=verdict.advice
    )


def _strictest_of_all(verdicts: list[Verdict]) -> Verdict:
    """The verdict that decides among those on single frames, with the highest score of each category."""
    scores: dict[str, float] = {}
    for name, score in (pair for verdict in verdicts for pair in verdict.categories.items()):
        scores[name] = max(score, scores.get(name, 0.0))
    return replace(strictest(verdicts), categories=scores)


def _together(held: list[Verdict]) -> Verdict:
    """One verdict of everything that holds a request, so that a reviewer reads it all."""
    categories = {name: score for verdict in reversed(held) for name, score in verdict.categories.items()}
    reason, advice = (" ".join(getattr(verdict, part) for verdict in held) for part in ("reason", "advice"))
    return replace(held[0], categories=categories, reason=reason, advice=advice)
