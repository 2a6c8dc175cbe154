"""A request made ready: every fault that can be found without torch is found here, in a fraction of a second."""

import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari import catalog
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.generate.plan import Plan, make_plan
from hibari.generate.sources import ClipShape
from hibari.media.files import check_writable
from hibari.media.suffixes import format_of
from hibari.produce.brought import Brought, clip_shape, look_at_clip, look_at_image, look_at_reference
from hibari.produce.foreseen import Fit, Fitted, Made, fit_plan
from hibari.request import GenerationRequest

if TYPE_CHECKING:
    from hibari.media.fit import Frame

__all__ = [
    "ClipShape",
    "Job",
    "Plan",
    "check",
    "clip_shape",
    "look_ahead",
    "plainest",
    "prepare",
]  # plans and clips are spoken of by who checks
NO_SEED_ABOVE = 2**31  # of the seeds that we draw: short enough to type again


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that holds: its model is whole, its plan is made, its file can be written.

    `brought` are the request's own files, in its order (`GenerationRequest.sources`); `start_frame`, `end_frame`
    and `references` are what the model sees of them, at the render size. `fitted` is how it fits into memory, where
    that is ours to choose.
    """

    request: GenerationRequest
    model: catalog.Model
    plan: Plan
    target: Path
    start_frame: "Frame | None"
    advice: str
    end_frame: "Frame | None" = None
    fitted: Fitted | None = None
    brought: tuple[Brought, ...] = ()
    references: "tuple[Frame, ...]" = ()

    @property
    def fit(self) -> Fit:
        """How the model is held and its latents are decoded."""
        return self.fitted.fit if self.fitted is not None else Fit()

    @property
    def revision(self) -> str:
        """The weights that make it: the model's revision, and each LoRA that is laid on it."""
        return "+".join([self.model.revision, *(lora.mark for lora in self.plan.laid_on)])

    @property
    def named(self) -> str:
        """The model as it is named later and from elsewhere: by its name, or a folder by its whole path."""
        asked = self.request.model
        return self.model.name if asked == self.model.name else str(self.model.folder.absolute())

    @property
    def clip(self) -> Brought | None:
        """The clip that is edited or extended."""
        return next((each for each in self.brought if each.option == "video"), None)


def check(request: GenerationRequest, settings: Settings, clip: ClipShape | None = None) -> tuple[catalog.Model, Plan]:
    """The model and the plan of a request whose file nobody names yet; raises what is wrong with it.

    A seed that is left open stays so: the plan's is of no account. `clip` is what the request's video holds; without it
    the video is read.
    """
    model = catalog.find(request.model or settings.model, settings)
    if request.video is not None and clip is None:
        clip = look_at_clip(request.video).shape
    return model, _plan(request, model, request.seed or 0, clip, settings)


def plainest(card: catalog.Card) -> GenerationRequest:
    """The least that can be asked of a model: words, and with them the images that it cannot do without."""
    words_do = "text to video" in card.verbs
    image = None if words_do else Path("-")
    return GenerationRequest(prompt="-", image=image, end_image=None if "image to video" in card.verbs else image)


def look_ahead(asked: dict[str, Any], settings: Settings) -> tuple[catalog.Model, Plan, bool]:
    """The model and the plan of a request of which nobody said more, and whether the model is here.

    A published model counts as it would be once it is pulled. Raises what is wrong with either.
    """
    name = asked.get("model") or settings.model
    absent = catalog.unpulled(name, settings)
    model = absent or catalog.find(name, settings)
    request = replace(plainest(model.card), **asked)
    return model, _plan(request, model, 0, None, settings), absent is None


def prepare(request: GenerationRequest, output: Path | str | None, settings: Settings, made: Made | None = None) -> Job:
    """Everything that can be said about a request before torch is loaded; raises what is wrong with it.

    `made` says how it was made before, where it is to be made in the same way again.
    """
    request = replace(request, model=request.model or settings.model)
    model = catalog.find(request.model or settings.model, settings)
    seed = secrets.randbelow(NO_SEED_ABOVE) if request.seed is None else request.seed
    target = _target(request, output, seed)
    if output is not None and format_of(target).kind == "still" and request.seconds is None:
        request = replace(request, seconds=0)
    _check_kind(request, target)
    clip = look_at_clip(request.video) if request.video is not None else None
    plan = _plan(request, model, seed, clip.shape if clip is not None else None, settings)
    fitted = fit_plan(model, plan, settings, made)
    check_writable(target)
    width, height = plan.render.width, plan.render.height
    image = look_at_image(request.image, width, height) if request.image is not None else None
    end = look_at_image(request.end_image, width, height, "end_image") if request.end_image is not None else None
    references = [look_at_reference(path, width, height) for path in request.references]
    sources = [each for each in (image, end, clip) if each is not None]
    advice = model.world.advice(request.prompt, model.name) if model.world else ""
    return Job(
        request=request,
        model=model,
        plan=plan,
        target=target,
        start_frame=image.screened[0] if image is not None else None,
        end_frame=end.screened[0] if end is not None else None,
        advice=advice,
        fitted=fitted,
        brought=(*sources, *(file for file, _ in references)),
        references=tuple(frame for _, frame in references),
    )


def _plan(
    request: GenerationRequest, model: catalog.Model, seed: int, clip: ClipShape | None, settings: Settings
) -> Plan:
    plan = make_plan(request, model, seed, clip)
    plan = replace(plan, loras=catalog.find_loras(request.loras, model, settings))
    if plan.laid_on and settings.engine.compile == "on":  # compiled layers pass by what is laid on them
        raise InvalidRequest(
            "a compiled model has nothing laid on its layers.",
            option="loras" if plan.loras else "fast",
            hint="Set HIBARI_COMPILE=off.",
        )
    return plan


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
