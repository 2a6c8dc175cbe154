"""A request made ready: every fault that can be found without torch is found here, in a fraction of a second."""

import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hibari import catalog
from hibari.config import Settings
from hibari.errors import BadMedia, InvalidRequest
from hibari.generate.plan import Plan, make_plan
from hibari.media.files import check_writable
from hibari.media.suffixes import format_of
from hibari.request import GenerationRequest

if TYPE_CHECKING:
    from hibari.media.fit import Frame

NO_SEED_ABOVE = 2**31  # of the seeds that we draw: short enough to type again


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that holds: its model is whole, its plan is made, its file can be written.

    `image_sha256` is of the very file that `start_frame` was read from.
    """

    request: GenerationRequest
    model: catalog.Model
    plan: Plan
    target: Path
    start_frame: "Frame | None"
    advice: str
    image_sha256: str | None = None


def check(request: GenerationRequest, settings: Settings) -> tuple[catalog.Model, Plan]:
    """The model and the plan of a request whose file nobody names yet; raises what is wrong with it.

    A seed that is left open stays so: the plan's is of no account.
    """
    model = catalog.find(request.model or settings.model, settings)
    return model, make_plan(request, model, request.seed or 0)


def prepare(request: GenerationRequest, output: Path | str | None, settings: Settings) -> Job:
    """Everything that can be said about a request before torch is loaded; raises what is wrong with it."""
    model = catalog.find(request.model or settings.model, settings)
    seed = secrets.randbelow(NO_SEED_ABOVE) if request.seed is None else request.seed
    target = _target(request, output, seed)
    if output is not None and format_of(target).kind == "still" and request.seconds is None:
        request = replace(request, seconds=0)
    _check_kind(request, target)
    plan = make_plan(request, model, seed)
    check_writable(target)
    start_frame, image_sha256 = None, None
    if request.image is not None:
        start_frame = _start_frame(request.image, plan)
        image_sha256 = sha256_of(request.image)
    advice = model.world.advice(request.prompt, model.name) if model.world else ""
    return Job(
        request=request,
        model=model,
        plan=plan,
        target=target,
        start_frame=start_frame,
        advice=advice,
        image_sha256=image_sha256,
    )


def sha256_of(image: Path) -> str:
    """The digest of a start image; raises BadMedia where it is gone."""
    try:
        with image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadMedia(
            f"{image} cannot be read any more ({error.strerror}).",
            option="image",
            hint="Keep it until the file is made.",
        ) from error


def _start_frame(path: Path, plan: Plan) -> "Frame":
    from hibari.media import decode
    from hibari.media.fit import fit

    try:
        return fit(decode.read_image(path), plan.render.width, plan.render.height)
    except BadMedia as error:
        raise BadMedia(error.message, option="image", hint=error.hint) from error


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
