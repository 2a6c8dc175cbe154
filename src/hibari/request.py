"""What a person asks for: one frozen record, checked once, where it is made. No torch here.

This room knows what is allowed for any model. What a certain model allows (its sizes, how long it
can go on) is `catalog.py`'s knowledge, and `generate/plan.py` holds a request against it.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from hibari.errors import InvalidRequest

MAX_PROMPT = 32_000  # the Videos API's own bound
MIN_SIDE, MAX_SIDE = 64, 4096
MAX_SEED = 2**53 - 1  # the largest whole number that every JSON reader keeps exact
MAX_SHOWN = 40
MAX_REFERENCES = 4
MAX_LORAS, MAX_LORA_WEIGHT = 8, 10.0
WHOLE = {"fps": (1, 60), "seed": (0, MAX_SEED), "steps": (1, 1000), "count": (1, 100)}
NUMBER = {
    "seconds": (0, 3600, "0 for a single picture"),
    "guidance": (1, 50, "1 switches guidance off"),
    "guidance_2": (1, 50, "1 switches guidance off"),
    "strength": (0, 1, "0 keeps the image or clip, 1 forgets it"),
    "flow_shift": (0.1, 100, "1 spreads the steps evenly over the noise, more spends them where there is much"),
}


class Size(NamedTuple):
    """Delivered width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "576x336"; raises InvalidRequest for anything that is not an even WIDTHxHEIGHT in bounds."""
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})\s*", text)
        if match is None:
            raise _wrong_size(text)
        return cls(int(match[1]), int(match[2]))


class LoraUse(NamedTuple):
    """A LoRA that a request lays on the model: a name in the data folder's loras or a file, and its weight.

    `expert` says on which transformer of a model that has two: "high" is the one for much noise, "low" the one for
    little, "" is every one. `sha256` is what the file has to have; "" takes any.
    """

    lora: str
    weight: float = 1.0
    expert: str = ""
    sha256: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read NAME[@high|@low][:WEIGHT], where a file may stand for the name; raises InvalidRequest."""
        match = re.fullmatch(r"(?P<lora>[^:]+?)(?:@(?P<expert>high|low))?(?::(?P<weight>[^:]+))?", text.strip())
        try:
            assert match is not None
            return cls(match["lora"], float(match["weight"] or 1), match["expert"] or "")
        except (AssertionError, ValueError):
            raise _wrong_lora(text) from None

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return f"{self.lora}{f'@{self.expert}' if self.expert else ''}:{self.weight!r}"


def _wrong_lora(given: object) -> InvalidRequest:
    return InvalidRequest(f"{_shown(given)} is not a LoRA.", option="loras", hint=allowed("loras"))


def _wrong_size(given: object) -> InvalidRequest:
    return InvalidRequest(f"{_shown(given)} is not a size.", option="size", hint=allowed("size"))


def _shown(given: object) -> str:
    """A value as a person typed it, cut so that an error stays one line."""
    text = " ".join(str(given).split())
    return repr(text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "...")


class Shortcuts(NamedTuple):
    """Ways to save time that change the frames, all of them off. `hibari evaluate shortcuts` measures by how much.

    `cache` is the relative change of the first block's part up to which a step takes over the other blocks' part of
    the last full one (0: never). Guidance is on at noise levels from `guidance_low` to `guidance_high` alone
    (Kynkaanniemi et al. 2024, arXiv 2404.07724); elsewhere a step takes half the time.
    """

    cache: float = 0.0
    guidance_low: float = 0.0
    guidance_high: float = 1.0

    def guides(self, level: float) -> bool:
        """Whether guidance is on at a noise level."""
        return self.guidance_low <= level <= self.guidance_high

    def __str__(self) -> str:
        """What is on, in a few words; empty where nothing is."""
        said = [f"step cache {self.cache:g}"] if self.cache else []
        interval = self[1:] != Shortcuts()[1:]
        said += [f"guidance at levels {self.guidance_low:g} to {self.guidance_high:g} alone"] if interval else []
        return ", ".join(said)


def _checked_shortcuts(given: object) -> Shortcuts:
    """Shortcuts as a request may give them: a record, or its fields as JSON has them. Raises InvalidRequest."""
    if isinstance(given, dict) and given.keys() <= set(Shortcuts._fields):
        given = Shortcuts(**given)
    numbers = isinstance(given, Shortcuts) and all(type(each) in (int, float) for each in given)
    if not isinstance(given, Shortcuts) or not numbers:
        raise InvalidRequest(f"{_shown(given)} are no shortcuts.", option="shortcuts", hint=allowed("shortcuts"))
    if not (0 <= given.cache < 1 and 0 <= given.guidance_low < given.guidance_high <= 1):
        interval = f"{given.guidance_low:g} to {given.guidance_high:g}"
        raise InvalidRequest(
            f"a cache of {given.cache:g} with guidance from {interval} is not allowed.",
            option="shortcuts",
            hint=allowed("shortcuts"),
        )
    return Shortcuts(*map(float, given))


CONSENT = ("adults", "minors", "nobody")


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """How a request is to be sampled. `None` leaves a setting to the model.

    `guidance_2` is that of a second transformer, for little noise, where a model has one; `guidance` otherwise.
    `flow_shift` is the shift of the noise levels that the steps walk. `shortcuts` save time and change the frames.
    `fast` asks for the model's version of few steps, or for the full one.
    """

    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    guidance_2: float | None = None
    flow_shift: float | None = None
    fast: bool | None = None
    shortcuts: Shortcuts = Shortcuts()


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(Sampled):
    """A video or a picture to be made. `None` leaves a setting to the model.

    `seconds=0` asks for a single picture. `size` takes "WxH" as well as a Size. `image` is the start frame and
    `end_image` the last one, `video` a clip to redraw, or with `extend` to go on from, and then `seconds` is how much
    is new. `strength` says how freely an image or a clip is redrawn: 0 keeps it, 1 forgets it. `references` show what
    is to appear. `consent` attests about the people in all of these: "adults" who agreed, "minors" whose guardian
    agrees, or "nobody" who is real. `latents` is a file of ours that was kept of `video`
    (`Hibari.generate(keep_latents=)`): it saves encoding the clip. `loras` change the model for this request: LoraUse,
    or text such as "sketch:0.8".
    Raises InvalidRequest, whose `option` is the field at fault.
    """

    prompt: str
    negative: str = ""
    model: str | None = None
    size: Size | None = None
    seconds: float | None = None
    fps: int | None = None
    image: Path | None = None
    end_image: Path | None = None
    strength: float | None = None
    consent: str | None = None
    video: Path | None = None
    extend: bool = False
    references: tuple[Path, ...] = ()
    latents: Path | None = None
    loras: tuple[LoraUse, ...] = ()

    def __post_init__(self) -> None:
        _check_prompt("prompt", self.prompt, required=True)
        _check_prompt("negative", self.negative, required=False)
        if self.model is not None and (not isinstance(self.model, str) or not self.model.strip()):
            raise InvalidRequest(
                f"{_shown(self.model)} is not a model.", option="model", hint="`hibari models` lists what is installed."
            )
        object.__setattr__(self, "size", _checked_size(self.size))
        for name in ("fps", "seed", "steps"):
            _check_whole(name, getattr(self, name))
        for name in NUMBER:
            _check_number(name, getattr(self, name))
        for name in ("image", "end_image", "video", "latents"):
            _set_path(self, name)
        if self.fast is not None and not isinstance(self.fast, bool):
            raise InvalidRequest(f"{_shown(self.fast)} is neither true nor false.", option="fast")
        _set_references(self)
        object.__setattr__(self, "loras", _checked_loras(self.loras))
        object.__setattr__(self, "shortcuts", _checked_shortcuts(self.shortcuts))
        _check_sources(self)

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files that a person brings: the image and the end image, or the clip, then the references."""
        return tuple(path for path in (self.image, self.end_image, self.video) if path is not None) + self.references

    @property
    def is_still(self) -> bool:
        return self.seconds == 0


def _set_path(request: GenerationRequest, name: str) -> None:
    value = getattr(request, name)
    if value is None:
        return
    if not isinstance(value, str | Path):
        raise InvalidRequest(f"{_shown(value)} is not a file.", option=name)
    object.__setattr__(request, name, Path(value))


def _set_references(request: GenerationRequest) -> None:
    given = request.references
    if not isinstance(given, tuple | list) or not all(isinstance(each, str | Path) for each in given):
        raise InvalidRequest(f"{_shown(given)} is not a list of files.", option="references")
    if len(given) > MAX_REFERENCES:
        raise InvalidRequest(f"{len(given)}, and at most {MAX_REFERENCES} are allowed.", option="references")
    object.__setattr__(request, "references", tuple(Path(each) for each in given))


def _checked_loras(given: object) -> tuple[LoraUse, ...]:
    """LoRAs as a request may give them: text, records, or a record's fields as JSON has them. Raises InvalidRequest."""
    if not isinstance(given, tuple | list) or isinstance(given, LoraUse):
        raise InvalidRequest(f"{_shown(given)} is not a list of LoRAs.", option="loras", hint=allowed("loras"))
    if len(given) > MAX_LORAS:
        raise InvalidRequest(f"{len(given)}, and at most {MAX_LORAS} are allowed.", option="loras")
    return tuple(_checked_lora(each) for each in given)


def _checked_lora(given: object) -> LoraUse:
    if isinstance(given, str):
        use = LoraUse.parse(given)
    elif isinstance(given, LoraUse):
        use = given
    elif isinstance(given, dict) and "lora" in given and given.keys() <= set(LoraUse._fields):
        use = LoraUse(**given)
    else:
        raise _wrong_lora(given)
    texts = all(isinstance(each, str) for each in (use.lora, use.expert, use.sha256))
    number = isinstance(use.weight, int | float) and not isinstance(use.weight, bool)
    if not texts or not use.lora or use.expert not in ("", "high", "low"):
        raise _wrong_lora(given)
    if not number or not math.isfinite(use.weight) or abs(use.weight) > MAX_LORA_WEIGHT:
        hint = f"Give a number from -{MAX_LORA_WEIGHT:g} to {MAX_LORA_WEIGHT:g}."
        raise InvalidRequest(f"{_shown(use.weight)} is no weight.", option="loras", hint=hint)
    return use._replace(weight=float(use.weight))


def _check_sources(request: GenerationRequest) -> None:
    """Raise InvalidRequest where an image, a clip and what is said of them do not go together."""
    source = request.image is not None or request.video is not None
    if not isinstance(request.extend, bool):
        raise InvalidRequest(f"{_shown(request.extend)} is neither true nor false.", option="extend")
    if request.consent is not None and (request.consent not in CONSENT or not request.sources):
        raise InvalidRequest(
            f"{_shown(request.consent)} is not allowed.",
            option="consent",
            hint=f"With an image, a clip or a reference: {', '.join(CONSENT)}.",
        )
    wrong = [
        (
            request.strength is not None and not source,
            "strength",
            "there is nothing to redraw.",
            "It needs an image (--image FILE) or a clip (--video FILE).",
        ),
        (
            request.image is not None and request.video is not None,
            "video",
            "an image and a clip exclude each other.",
            "Give the one that it is to start from.",
        ),
        (
            request.end_image is not None and request.image is None,
            "end_image",
            "nothing leads to it.",
            "Give a start image too.",
        ),
        (
            request.end_image is not None and request.is_still,
            "seconds",
            "0 makes a picture, which has no end.",
            "Leave it out.",
        ),
        (request.extend and request.video is None, "extend", "there is no clip to go on from.", "Give a video."),
        (
            request.extend and request.strength is not None,
            "strength",
            "a clip that is extended stays as it is.",
            "Leave it out, or leave out extend to redraw the clip.",
        ),
        (
            request.video is not None and request.is_still,
            "seconds",
            "0 makes a picture, and a clip stays a clip.",
            "Leave it out for the clip's own duration.",
        ),
        (request.latents is not None and request.video is None, "latents", "they are of no clip.", "Give the video."),
    ]
    for is_so, option, message, hint in wrong:
        if is_so:
            raise InvalidRequest(message, option=option, hint=hint)


def seeds(first: int, count: int) -> list[int]:
    """The seeds of `count` takes of one request: `first` and its followers."""
    _check_whole("count", count)
    if first + count - 1 > MAX_SEED:
        raise InvalidRequest(f"{first} is too large for {count} takes.", option="seed", hint="Use a smaller one.")
    return list(range(first, first + count))


def _check_prompt(option: str, text: str, *, required: bool) -> None:
    if not isinstance(text, str):
        raise InvalidRequest(f"{_shown(text)} is not text.", option=option)
    if required and not text.strip():
        raise InvalidRequest("it is empty.", option=option, hint=f"Say what to show, in 1 to {MAX_PROMPT} characters.")
    if len(text) > MAX_PROMPT:
        raise InvalidRequest(f"{len(text)} characters, and at most {MAX_PROMPT} are allowed.", option=option)
    if "\0" in text:
        raise InvalidRequest("it holds a zero byte.", option=option, hint="Plain text is allowed.")


def _checked_size(size: Size | tuple[int, int] | str | None) -> Size | None:
    if size is None:
        return None
    if isinstance(size, str):
        size = Size.parse(size)
    if not isinstance(size, tuple | list) or len(size) != len(Size._fields) or not all(type(n) is int for n in size):
        raise _wrong_size(size)
    if not all(MIN_SIDE <= side <= MAX_SIDE and side % 2 == 0 for side in size):
        raise _wrong_size(Size(*size))
    return Size(*size)


def allowed(option: str) -> str:
    """What a setting may be, as a sentence; empty for one that has no bounds."""
    if option == "size":
        return f"Give WIDTHxHEIGHT in even numbers from {MIN_SIDE} to {MAX_SIDE}, such as 576x336."
    if option == "shortcuts":
        return "Give a cache from 0 to below 1 (0.1 saves much), and guidance from a lower level to a higher, 0 to 1."
    if option == "loras":
        weights = f"from -{MAX_LORA_WEIGHT:g} to {MAX_LORA_WEIGHT:g}"
        return f"Give NAME, NAME:WEIGHT {weights}, or with one expert's name before the weight, NAME@high:WEIGHT."
    if option in WHOLE:
        low, high = WHOLE[option]
        return f"Give a whole number from {low} to {high}."
    if option in NUMBER:
        least, most, note = NUMBER[option]
        return f"Give a number from {least} to {most} ({note})."
    return ""


def _check_whole(option: str, value: int | None) -> None:
    if value is None:
        return
    low, high = WHOLE[option]
    if type(value) is not int or not low <= value <= high:
        raise InvalidRequest(f"{_shown(value)} is not allowed.", option=option, hint=allowed(option))


def _check_number(option: str, value: float | None) -> None:
    if value is None:
        return
    low, high, _ = NUMBER[option]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        raise InvalidRequest(f"{_shown(value)} is not allowed.", option=option, hint=allowed(option))
