"""Which frames of a clip take part in its editing or extension, and how long either may be. No torch here.

Frames of a clip are counted as its file has them, at one rate throughout.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

from hibari.catalog import Card, Model
from hibari.errors import InvalidRequest
from hibari.request import WHOLE, GenerationRequest

EDIT_STRENGTH = 0.85  # below it hibari-mini keeps the object and the place that the prompt wants changed
CONTEXT_S = 1  # of a clip that is extended: what the model sees of it; it must share the model's time with what is new
MAX_CLIP_S = 120  # of a clip that is brought, and of one that is extended again and again


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    """What a clip holds: its frames, their rate (frames a second), and their pixels."""

    frames: int
    fps: Fraction
    width: int
    height: int

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.fps

    @property
    def whole_fps(self) -> int:
        """The rate as a request can ask for it."""
        low, high = WHOLE["fps"]
        return min(max(round(self.fps), low), high)

    def frame_at(self, seconds: Fraction) -> int:
        """The frame that is seen at a moment; the first or the last one beyond either end."""
        return min(max(floor(seconds * self.fps), 0), self.frames - 1)


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """What becomes of a clip. Each number is a frame of the clip, and a number may come again.

    `known` are the frames that the model sees, one for each rendered frame from the first on, redrawn as far as `level`
    says (0: not at all). `kept` are the delivered frames that are the clip's own: all of it where it is extended.
    """

    known: tuple[int, ...]
    kept: tuple[int, ...]
    level: float

    @property
    def context(self) -> int:
        """Rendered frames that stand before what is delivered of them."""
        return len(self.known) if self.kept else 0


def made_seconds(request: GenerationRequest, card: Card, clip: ClipShape | None) -> Fraction:
    """The exact duration of what is to be made; raises InvalidRequest where the model or the clip has less.

    0.1 s is a tenth, and not the nearest binary number. A clip is redrawn whole unless less is asked for.
    """
    redrawn = clip if not request.extend else None
    if request.seconds is not None:
        seconds, option = Fraction(str(request.seconds)), "seconds"
    elif redrawn is not None:
        seconds, option = redrawn.seconds, "video"
    else:
        seconds, option = Fraction(str(card.seconds)), "seconds"
    if seconds > Fraction(str(card.max_seconds)):
        part = f"Give seconds for a part of it, at most {card.max_seconds:g}."
        raise InvalidRequest(
            f"{float(seconds):g} seconds, and {card.name} makes at most {card.max_seconds:g}.",
            option=option,
            hint=part if redrawn else "Give less.",
        )
    if redrawn is not None and seconds > redrawn.seconds + 1 / redrawn.fps:
        raise InvalidRequest(
            f"{float(seconds):g} seconds, and the clip has {float(redrawn.seconds):g}.",
            option="seconds",
            hint="Leave it out, or extend the clip.",
        )
    return seconds


def over_clip(
    request: GenerationRequest, model: Model, clip: ClipShape, *, fps: int, frames: int
) -> tuple[SourcePlan, list[str]]:
    """What becomes of a clip, and what there is to say about it; raises InvalidRequest.

    `fps` is the delivered rate, `frames` the least that is rendered of what is made.
    """
    card = model.card
    if not request.extend:
        rendered = range(model.strides.frames_at_least(frames))
        known = tuple(clip.frame_at(Fraction(index, card.fps)) for index in rendered)
        level = EDIT_STRENGTH if request.strength is None else request.strength
        return SourcePlan(known=known, kept=(), level=level), []
    count = max(1, round(clip.seconds * fps))
    end = Fraction(count, fps)
    total = end + made_seconds(request, card, clip)
    if total > MAX_CLIP_S:
        raise InvalidRequest(
            f"{float(total):g} seconds in all, and at most {MAX_CLIP_S} are made.", option="seconds", hint="Give less."
        )
    context = _context(model, end, frames)
    known = tuple(clip.frame_at(end - Fraction(context - index, card.fps)) for index in range(context))
    kept = tuple(clip.frame_at(Fraction(index, fps)) for index in range(count))
    notes = ["what is new knows the clip's last frame alone"] if context == 1 else []
    return SourcePlan(known=known, kept=kept, level=0.0), notes


def _context(model: Model, seconds: Fraction, frames: int) -> int:
    """How many rendered frames of a clip of that many seconds are known to what is new: 4n+1, and as far as it fits.

    A window of a model that makes some has room for more than these.
    """
    card, step = model.card, model.strides.time
    room = floor(Fraction(str(card.max_seconds)) * card.fps) + 1 - frames
    most = min(CONTEXT_S * card.fps, floor(seconds * card.fps) - 1, room - 1)
    if card.rolling is not None:
        most = min(most, step * (card.rolling.window - 1) - 1)
    return max(0, most) // step * step + 1
