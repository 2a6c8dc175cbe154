"""What will be rendered for a request, and what of it is delivered. No torch here.

A request has a delivered size, a model has render sizes; a request has an exact duration, a model
renders 4n+1 frames at its own rate. This room settles both, and says in `notes` what it did. Which frames of a clip
take part in its editing is `sources.py`'s say.
"""

from dataclasses import dataclass
from math import ceil, log

from hibari.catalog import BETWEEN, SETTINGS, Card, Lora, Model, fast_lora
from hibari.errors import InvalidRequest
from hibari.generate.fast import choose_fast, solver_of
from hibari.generate.sources import ClipShape, SourcePlan, made_seconds, over_clip
from hibari.generate.windows import Window, plan_windows
from hibari.request import MAX_SIDE, MIN_SIDE, GenerationRequest, Shortcuts, Size
from hibari.shapes import VideoShape

MIN_KEPT = 0.5  # share of a rendered picture that the crop must leave
WORTH_SAYING = 0.98  # a crop that leaves more is not worth a note


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request with nothing left open. `picks[i]` is the rendered frame that delivered frame i shows.

    `guidance_2` is the second expert's where it is not the first one's. `flow_shift` is None where the model's own
    holds.

    A plan over a clip has its `source`. Of an extension the clip's own frames are delivered first, and `picks` are
    those of the frames after them. `loras` are laid on the model for this walk, after the file of its `fast` version
    where that makes it, and `shortcuts` make it shorter.
    `windows` are the parts of a video that is made one after the other; there are none where it is made in one go.
    """

    seed: int
    delivered: Size
    render: VideoShape
    fps: int
    picks: tuple[int, ...]
    steps: int
    guidance: float
    solver: str
    guidance_2: float | None = None
    flow_shift: float | None = None
    source: SourcePlan | None = None
    fast: Lora | None = None
    loras: tuple[Lora, ...] = ()
    windows: tuple[Window, ...] = ()
    shortcuts: Shortcuts = Shortcuts()
    notes: tuple[str, ...] = ()

    @property
    def laid_on(self) -> tuple[Lora, ...]:
        """Every LoRA of this walk."""
        return self.loras if self.fast is None else (self.fast, *self.loras)

    @property
    def guidances(self) -> tuple[float, float]:
        """The guidance of a model's first expert, and of its second one."""
        return self.guidance, self.guidance if self.guidance_2 is None else self.guidance_2

    @property
    def visits(self) -> int:
        """How often the walk asks the transformer: once a step, in every window."""
        return sum(window.rows for window in self.windows) if self.windows else self.steps

    def at_once(self, frames: int) -> int:
        """How many of a video's latent frames the transformer sees at a time."""
        return max((window.frames for window in self.windows), default=frames)

    @property
    def frames(self) -> int:
        """Delivered frames."""
        return len(self.picks) + (len(self.source.kept) if self.source else 0)

    @property
    def seconds(self) -> float:
        """The delivered duration; 0 for a still."""
        return self.frames / self.fps if self.frames > 1 else 0.0

    @property
    def made_seconds(self) -> float:
        """The duration of what is made: of an extension the new part alone."""
        return len(self.picks) / self.fps if self.frames > 1 else 0.0


def make_plan(request: GenerationRequest, model: Model, seed: int, clip: ClipShape | None = None) -> Plan:
    """Settle what a request leaves open; raises InvalidRequest for what this model cannot do.

    `clip` is what the request's video holds.
    """
    assert (clip is None) == (request.video is None), "a clip comes with its shape"
    card = model.card
    _check_ability(request, card)
    _check_settings(request, model)
    render, delivered, size_notes = _sizes(_wanted(request, clip), card)
    fps, picks, fps_notes = _picks(request, card, clip)
    frames = 1 if request.is_still else max(picks[-1] + 1, ceil(made_seconds(request, card, clip) * card.fps))
    source = None
    if clip is not None:
        source, source_notes = over_clip(request, model, clip, fps=fps, frames=frames)
        fps_notes += source_notes
        # What is known comes first in the rendered clip, and what is new after it.
        picks, frames = tuple(pick + source.context for pick in picks), frames + source.context
    video = VideoShape(model.strides.frames_at_least(frames), render.height, render.width)
    model.strides.check(video)
    if request.end_image is not None:
        picks, end_notes = _to_the_end(len(picks), video.frames)
        fps_notes += end_notes
    steps = card.steps if request.steps is None else request.steps
    guidance, guidance_2 = _guidances(request, card)
    windows, window_notes = _windows(request, model, video, steps, source)
    fast, fast_notes = choose_fast(request, model, windows=bool(windows))
    if fast is not None:
        steps = fast.steps
    approximate = [f"approximate: {request.shortcuts}"] if str(request.shortcuts) else []
    return Plan(
        seed=seed,
        delivered=delivered,
        render=video,
        fps=fps,
        picks=picks,
        steps=steps,
        guidance=fast.guidance if fast is not None and request.guidance is None else guidance,
        guidance_2=guidance_2,
        solver=fast.solver if fast is not None else solver_of(request, model),
        fast=fast_lora(model) if fast is not None else None,
        flow_shift=request.flow_shift,
        source=source,
        windows=windows,
        shortcuts=request.shortcuts,
        notes=(*size_notes, *fps_notes, *window_notes, *fast_notes, *approximate),
    )


def _to_the_end(count: int, rendered: int) -> tuple[tuple[int, ...], list[str]]:
    """The rendered frames behind so many delivered ones of which the last is the end image, and what there is to say.

    A model renders 4n+1 frames, and the end image is the last of them.
    """
    if min(count, rendered) < 2:
        raise InvalidRequest("it is a single frame, which has no end.", option="seconds", hint="Give more.")
    picks = tuple(round(index * (rendered - 1) / (count - 1)) for index in range(count))
    left = f"{count} of {rendered} rendered frames are shown, so that the last one is the end image"
    return picks, [left] if count < rendered else []


def _windows(
    request: GenerationRequest, model: Model, video: VideoShape, steps: int, source: SourcePlan | None
) -> tuple[tuple[Window, ...], list[str]]:
    """The windows of a video that is not made in one go, and what there is to say about them."""
    rolling, frames = model.card.rolling, model.strides.latent(video).frames
    if rolling is None or frames == 1 or (frames <= rolling.window and not rolling.lag):
        return (), []
    longest = model.strides.time * (rolling.window - 1) + 1
    known = 1 if request.image is not None and not request.strength else 0
    if source is not None and source.kept:
        known = (source.context - 1) // model.strides.time + 1
    elif source is not None:
        raise InvalidRequest(
            f"{video.frames} frames, and {model.name} redraws at most {longest} frames.",
            option="seconds",
            hint="Give seconds for a part of the clip.",
        )
    windows = plan_windows(frames, steps, rolling, known)
    seen = model.strides.time * (rolling.history - 1) + 1
    notes = [f"made in {len(windows)} windows, each of which sees the last {seen} frames before it"]
    return windows, notes if len(windows) > 1 else []


def _check_ability(request: GenerationRequest, card: Card) -> None:
    """Raise InvalidRequest for what a model cannot read or do."""
    for option in ("prompt", "negative"):
        length = len(getattr(request, option))
        if length > card.max_prompt:
            raise InvalidRequest(
                f"{length} characters, and {card.name} reads at most {card.max_prompt}.", option=option
            )
    for verb, option in (_verb(request), *([("text to image", "seconds")] if request.is_still else [])):
        if verb in card.verbs:
            continue
        more = next((what for asked, can, what in _PICTURES if asked == verb and can in card.verbs), "")
        raise InvalidRequest(
            f"{card.name} cannot do {verb}.", option=option, hint=f"It can do {', '.join(card.verbs)}. {more}".rstrip()
        )
    if len(request.references) > card.references:
        can = "no reference pictures" if not card.references else f"at most {card.references} of them"
        raise InvalidRequest(f"{len(request.references)} given, and {card.name} takes {can}.", option="references")


_PICTURES = (
    ("text to video", "image to video", "Give a start image."),
    ("text to video", BETWEEN, "Give a start image and an end image."),
    ("image to video", BETWEEN, "Give an end image too."),
)
"""What a request asks for, what a model can do instead, and the pictures that lead from one to the other."""


def _check_settings(request: GenerationRequest, model: Model) -> None:
    """Raise InvalidRequest for a setting that would have no effect with what runs this model."""
    idle = [name for name in sorted(SETTINGS - model.form.settings) if getattr(request, name) not in (None, "", ())]
    if idle:
        raise InvalidRequest(
            f"it has no effect with {model.name} ({model.form.pipeline}).", option=idle[0], hint="Leave it out."
        )
    guidance, second = _guidances(request, model.card)
    if str(request.shortcuts) and model.form.backend != "native":
        raise InvalidRequest(
            f"they have no effect with {model.name}, which diffusers runs.",
            option="shortcuts",
            hint="Leave them out.",
        )
    if request.shortcuts[1:] != Shortcuts()[1:] and guidance == 1 and second in (None, 1):
        raise InvalidRequest("guidance is off, and has no interval.", option="shortcuts", hint="Leave it out.")
    if model.form.backend == "diffusers" and request.negative and guidance <= 1:
        raise InvalidRequest(
            f"it has no effect at a guidance of {guidance:g}.",
            option="negative",
            hint="Leave it out, or give guidance.",
        )


def _guidances(request: GenerationRequest, card: Card) -> tuple[float, float | None]:
    """The guidance of a model's first expert, and of its second one where that is another."""
    if request.guidance is not None:
        return request.guidance, request.guidance_2
    return card.guidance, card.guidance_2 if request.guidance_2 is None else request.guidance_2


def _verb(request: GenerationRequest) -> tuple[str, str]:
    """What a request asks a model to do, and the option that says so."""
    if request.extend:
        return "extend", "extend"
    if request.video is not None:
        return "video to video", "video"
    if request.image is not None:
        return (BETWEEN, "end_image") if request.end_image is not None else ("image to video", "image")
    return ("text to image", "seconds") if request.is_still else ("text to video", "model")


def _wanted(request: GenerationRequest, clip: ClipShape | None) -> Size | None:
    """The size asked for, or the clip's own in even numbers where it has one that can be asked for."""
    if request.size is not None or clip is None:
        return request.size
    own = Size(clip.width // 2 * 2, clip.height // 2 * 2)
    return own if all(MIN_SIDE <= side <= MAX_SIDE for side in own) else None


def _sizes(wanted: Size | None, card: Card) -> tuple[Size, Size, list[str]]:
    """Render size, delivered size, and what there is to say about them."""
    if wanted is None:
        render = card.sizes[0]
        return render, Size(render.width * card.upscale, render.height * card.upscale), []

    def off(size: Size) -> float:
        return abs(log(wanted.width * size.height / (wanted.height * size.width)))

    render = min(card.sizes, key=off)
    kept = 2.718281828459045 ** -off(render)
    if kept < MIN_KEPT:
        shapes = ", ".join(map(str, card.sizes))
        raise InvalidRequest(f"{wanted}: {card.name} knows no such shape.", option="size", hint=f"It renders {shapes}.")
    notes = []
    scale = max(wanted.width / render.width, wanted.height / render.height)
    if render != wanted:
        verb = "enlarged" if scale > 1 else "reduced"
        notes.append(f"rendered at {render} and {verb} to {wanted} ({scale:.3g} times)")
    if kept < WORTH_SAYING:
        side = "left and right" if wanted.width * render.height < wanted.height * render.width else "top and bottom"
        notes.append(f"{1 - kept:.0%} of the picture is cut away at {side} to fit the shape")
    return render, wanted, notes


def _picks(request: GenerationRequest, card: Card, clip: ClipShape | None) -> tuple[int, tuple[int, ...], list[str]]:
    """Delivered rate, the rendered frame behind each made one, and what there is to say about them."""
    if request.is_still:
        return card.fps, (0,), []
    seconds = made_seconds(request, card, clip)
    fps = card.fps if request.fps is None else request.fps
    if request.fps is None and clip is not None and request.extend:
        fps = clip.whole_fps
    count = max(1, round(seconds * fps))
    picks = tuple(index * card.fps // fps for index in range(count))
    notes = []
    if fps != card.fps:
        verb = "repeated" if fps > card.fps else "dropped"
        notes.append(f"{card.name} renders {card.fps} frames a second; frames are {verb} to make {fps}")
    return fps, picks, notes
