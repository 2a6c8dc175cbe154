"""The only road from a request to a finished file.

prepare (no torch) -> screen -> generate -> mark -> encode -> finish. The steps in the middle that
screen, mark and sign are seams: typed, run where they stand, and empty until their rooms are built.
A step that cannot do its work raises Refused, and then there is no file.
"""

import hashlib
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from hibari import catalog
from hibari.config import Settings
from hibari.errors import BadMedia, Cancelled, InvalidRequest
from hibari.generate.plan import Plan, make_plan
from hibari.media.files import beside, check_writable
from hibari.media.suffixes import format_of
from hibari.request import GenerationRequest

if TYPE_CHECKING:
    # Even numpy waits until there are pixels: a refusal should come at once.
    from hibari.generate.generator import Generator
    from hibari.media.fit import Frame

NO_SEED_ABOVE = 2**31  # of the seeds that we draw: short enough to type again


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a production is: `done` of `total` in a stage ("load", "denoise" or "frames")."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that holds: its model is whole, its plan is made, its file can be written."""

    request: GenerationRequest
    model: catalog.Model
    plan: Plan
    target: Path
    start_frame: "Frame | None"
    advice: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was made, how, and how to make it again. Digests are of latents and of frames before marking."""

    id: str
    path: Path
    request: GenerationRequest
    plan: Plan
    model: str
    revision: str
    device: str
    dtype: str
    threads: int
    latents_sha256: str
    frames_sha256: str
    seconds: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        plan, request = self.plan, self.request
        return {
            "id": self.id,
            "path": str(self.path),
            "prompt": request.prompt,
            "negative": request.negative,
            "image": str(request.image) if request.image else None,
            "strength": request.strength,
            "seed": plan.seed,
            "model": self.model,
            "revision": self.revision,
            "size": str(plan.delivered),
            "render_size": f"{plan.render.width}x{plan.render.height}",
            "frames": len(plan.picks),
            "fps": plan.fps,
            "seconds": plan.seconds,
            "steps": plan.steps,
            "guidance": plan.guidance,
            "solver": plan.solver,
            "device": self.device,
            "dtype": self.dtype,
            "threads": self.threads,
            "latents_sha256": self.latents_sha256,
            "frames_sha256": self.frames_sha256,
            "seconds_spent": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "notes": list(plan.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The seams of the road. Each raises Refused to stop it."""

    screen_job: tuple[Callable[[Job], None], ...] = ()
    screen_frame: tuple[Callable[["Frame"], None], ...] = ()
    mark_frame: tuple[Callable[["Frame"], "Frame"], ...] = ()
    finish_file: tuple[Callable[[Path, Record], None], ...] = ()


@dataclass
class Stopwatch:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


OnProgress = Callable[[Progress], None]


class Hibari:
    """A place that makes videos: settings, and the model that was used last, kept for the next request."""

    def __init__(
        self, settings: Settings | None = None, *, steps: Steps | None = None, **given: str | Path | int
    ) -> None:
        """Settings as they are, or read from `given` (home, model, device, dtype, threads) and the environment."""
        if settings is not None and given:
            raise InvalidRequest("settings are given twice.", option=next(iter(given)))
        self.settings = settings or Settings.load(**given)
        self._steps = steps or Steps()
        self._loaded: tuple[Path, Generator] | None = None

    def prepare(self, request: GenerationRequest, output: Path | str | None = None) -> Job:
        """Everything that can be said about a request before torch is loaded; raises what is wrong with it."""
        model = catalog.find(request.model or self.settings.model, self.settings)
        seed = secrets.randbelow(NO_SEED_ABOVE) if request.seed is None else request.seed
        target = _target(request, output, seed)
        if output is not None and format_of(target).kind == "still" and request.seconds is None:
            request = replace(request, seconds=0)
        _check_kind(request, target)
        plan = make_plan(request, model, seed)
        check_writable(target)
        start_frame = None
        if request.image is not None:
            start_frame = _start_frame(request.image, plan)
        advice = model.world.advice(request.prompt, model.name) if model.world else ""
        return Job(request=request, model=model, plan=plan, target=target, start_frame=start_frame, advice=advice)

    def generate(
        self,
        request: GenerationRequest | Job,
        *,
        output: Path | str | None = None,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
    ) -> Record:
        """Make a file and return its record; raises HibariError, and Cancelled once `cancel` is set.

        `output` names the file (the suffix says video or still); without it a name is made from the prompt,
        in the current folder. Nothing is left behind where this raises.
        """
        job = request if isinstance(request, Job) else self.prepare(request, output)
        for screen in self._steps.screen_job:
            screen(job)
        return _Production(job, self._steps, on_progress, cancel).run(self._generator)

    def _generator(self, model: catalog.Model) -> "Generator":
        """The model, loaded; the one before it is let go first."""
        if self._loaded is None or self._loaded[0] != model.folder:
            self._loaded = None
            self._loaded = (model.folder, _load(model, self.settings))
        return self._loaded[1]


@dataclass
class _Production:
    """One job on its way."""

    job: Job
    steps: Steps
    on_progress: OnProgress | None
    cancel: Event | None
    watch: Stopwatch = field(default_factory=Stopwatch)

    def run(self, generator_of: Callable[[catalog.Model], "Generator"]) -> Record:
        job, plan = self.job, self.job.plan
        self._tell("load", 0, 1)
        with self.watch("load"):
            generator = generator_of(job.model)
        self._tell("load", 1, 1)
        self._tell("denoise", 0, plan.steps)
        with self.watch("denoise"):
            latent = self._make_latent(generator)
        digest = hashlib.sha256()
        with beside(job.target) as partial:
            frames = self._delivered(generator.decode(latent), digest)
            with self.watch("encode"):
                _encode(partial, job, frames)
            self.watch.seconds["encode"] -= self.watch.seconds["decode"]  # frames are decoded as they are encoded
            record = Record(
                id=f"video_{secrets.token_hex(12)}",
                path=job.target,
                request=job.request,
                plan=plan,
                model=job.model.name,
                revision=job.model.revision,
                device=str(generator.device),
                dtype=str(generator.dtype).removeprefix("torch."),
                threads=generator.num_threads,
                latents_sha256=hashlib.sha256(latent.cpu().numpy().tobytes()).hexdigest(),
                frames_sha256=digest.hexdigest(),
                seconds=self.watch.seconds,
            )
            for finish in self.steps.finish_file:
                finish(partial, record)
        return record

    def _make_latent(self, generator: "Generator") -> "Any":
        from hibari.generate.conditions import KnownFrames
        from hibari.generate.generator import Prompt

        job, plan = self.job, self.job.plan
        conditions = []
        if job.start_frame is not None:
            known = generator.encode_picture(job.start_frame)
            conditions.append(KnownFrames(known, level=job.request.strength or 0.0))
        prompt = Prompt(job.request.prompt, job.request.negative)
        return generator.make_latent(plan, prompt, conditions, lambda done: self._tell("denoise", done, plan.steps))

    def _delivered(self, rendered: Iterator["Frame"], digest: "hashlib._Hash") -> Iterator["Frame"]:
        """The frames of the file, in order: picked, brought to the delivered size, screened, marked."""
        from hibari.media.fit import fit

        plan, done = self.job.plan, 0
        self.watch.seconds["decode"] = 0.0
        times_shown = Counter(plan.picks)
        for index in range(plan.picks[-1] + 1):
            with self.watch("decode"):
                frame = next(rendered)
            if not times_shown[index]:
                continue
            frame = fit(frame, *plan.delivered)
            for screen in self.steps.screen_frame:
                screen(frame)
            for _ in range(times_shown[index]):
                digest.update(frame.tobytes())
                marked = frame
                for mark in self.steps.mark_frame:
                    marked = mark(marked)
                done += 1
                self._tell("frames", done, len(plan.picks))
                yield marked

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("stopped as asked.")
        if self.on_progress is not None:
            self.on_progress(Progress(stage=stage, done=done, total=total))


def _start_frame(path: Path, plan: Plan) -> "Frame":
    from hibari.media import decode
    from hibari.media.fit import fit

    try:
        return fit(decode.read_image(path), plan.render.width, plan.render.height)
    except BadMedia as error:
        raise BadMedia(error.message, option="image", hint=error.hint) from error


def _load(model: catalog.Model, settings: Settings) -> "Generator":
    """The one place where torch comes in."""
    import torch

    from hibari.generate.generator import Generator
    from hibari.machine import pick_device, pick_dtype

    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = pick_device(settings.device)
    return Generator.load(model, device, pick_dtype(settings.dtype, device))


def _encode(path: Path, job: Job, frames: Iterator["Frame"]) -> None:
    from hibari.media import encode

    form = format_of(job.target)
    if form.kind == "still":
        encode.write_still(path, next(frames), form.encoder)
    else:
        encode.write_video(path, frames, job.plan.fps)


def _target(request: GenerationRequest, output: Path | str | None, seed: int) -> Path:
    """The file to make: as asked, or named after the prompt and the seed, beside nothing of that name."""
    if output is not None:
        target = Path(output).expanduser()
        format_of(target)
        return target
    suffix = ".png" if request.is_still else ".mp4"
    words = re.findall(r"\w+", request.prompt.lower())[:6]
    stem = "-".join(words)[:60] or "video"
    path, take = Path(f"{stem}-{seed}{suffix}"), 2
    while path.exists():
        path, take = Path(f"{stem}-{seed}-{take}{suffix}"), take + 1
    return path


def _check_kind(request: GenerationRequest, target: Path) -> None:
    """Raise InvalidRequest where the file's suffix and the duration contradict each other."""
    still = format_of(target).kind == "still"
    if still and not request.is_still:
        raise InvalidRequest(
            f"{request.seconds:g} does not fit {target.name}, a picture.",
            option="seconds",
            hint="Use 0, or a .mp4 file.",
        )
    if request.is_still and not still:
        raise InvalidRequest(
            f"0 makes a picture, and {target.name} is a video.",
            option="seconds",
            hint="Use a .png, .webp or .jpg file.",
        )
