"""What will be rendered for a request, and what of it is delivered. No torch here.

A request has a delivered size, a model has render sizes; a request has an exact duration, a model
renders 4n+1 frames at its own rate. This room settles both, and says in `notes` what it did.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log

from hibari.catalog import Card, Model
from hibari.errors import InvalidRequest
from hibari.request import GenerationRequest, Size
from hibari.shapes import VideoShape

MIN_KEPT = 0.5  # share of a rendered picture that the crop must leave
WORTH_SAYING = 0.98  # a crop that leaves more is not worth a note


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request with nothing left open. `picks[i]` is the rendered frame that delivered frame i shows."""

    seed: int
    delivered: Size
    render: VideoShape
    fps: int
    picks: tuple[int, ...]
    steps: int
    guidance: float
    solver: str
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The delivered duration; 0 for a still."""
        return len(self.picks) / self.fps if len(self.picks) > 1 else 0.0


def make_plan(request: GenerationRequest, model: Model, seed: int) -> Plan:
    """Settle what a request leaves open; raises InvalidRequest for what this model cannot do."""
    card = model.card
    if len(request.prompt) > card.max_prompt:
        raise InvalidRequest(
            f"{len(request.prompt)} characters, and {card.name} reads at most {card.max_prompt}.", option="prompt"
        )
    if len(request.negative) > card.max_prompt:
        raise InvalidRequest(
            f"{len(request.negative)} characters, and {card.name} reads at most {card.max_prompt}.", option="negative"
        )
    verb = "image to video" if request.image else "text to image" if request.is_still else "text to video"
    if verb not in card.verbs:
        option = {"image to video": "image", "text to image": "seconds", "text to video": "model"}[verb]
        raise InvalidRequest(
            f"{card.name} cannot do {verb}.", option=option, hint=f"It can do {', '.join(card.verbs)}."
        )
    render, delivered, size_notes = _sizes(request.size, card)
    fps, picks, fps_notes = _picks(request, card)
    frames = max(picks[-1] + 1, 1 if request.is_still else ceil(_seconds(request, card) * card.fps))
    video = VideoShape(model.strides.frames_at_least(frames), render.height, render.width)
    model.strides.check(video)
    return Plan(
        seed=seed,
        delivered=delivered,
        render=video,
        fps=fps,
        picks=picks,
        steps=card.steps if request.steps is None else request.steps,
        guidance=card.guidance if request.guidance is None else request.guidance,
        solver=card.solver,
        notes=(*size_notes, *fps_notes),
    )


def _seconds(request: GenerationRequest, card: Card) -> Fraction:
    """The exact duration asked for: 0.1 s is a tenth, and not the nearest binary number."""
    return Fraction(str(card.seconds if request.seconds is None else request.seconds))


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


def _picks(request: GenerationRequest, card: Card) -> tuple[int, tuple[int, ...], list[str]]:
    """Delivered rate, the rendered frame behind each delivered one, and what there is to say about them."""
    if request.is_still:
        return card.fps, (0,), []
    seconds = _seconds(request, card)
    if seconds > Fraction(str(card.max_seconds)):
        raise InvalidRequest(
            f"{float(seconds):g} seconds, and {card.name} makes at most {card.max_seconds:g}.",
            option="seconds",
            hint="0 makes a single picture.",
        )
    fps = card.fps if request.fps is None else request.fps
    count = max(1, round(seconds * fps))
    picks = tuple(index * card.fps // fps for index in range(count))
    notes = []
    if fps != card.fps:
        verb = "repeated" if fps > card.fps else "dropped"
        notes.append(f"{card.name} renders {card.fps} frames a second; frames are {verb} to make {fps}")
    return fps, picks, notes
