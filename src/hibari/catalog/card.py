"""What a model can do: the card `hibari.json` in its folder, or the family's published habits without one."""

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Self

from hibari.errors import BadWeights, InvalidRequest
from hibari.request import Size

FILE = "hibari.json"
VERBS = ("text to video", "text to image", "image to video", "video to video", "extend")
BETWEEN = "between images"  # from a start image to an end image


@dataclass(frozen=True, kw_only=True)
class Rolling:
    """How a model that learned a noise level for each latent frame makes long videos. Counts are of latent frames.

    A `window` is made at a time, the first `history` of which are the end of what was made before, looked at through
    noise of level `noise`. With a `lag`, blocks of `block` frames start so many steps after the block before them; with
    a `block` of more than one, none attends to a later block.
    """

    window: int = 25
    history: int = 5
    noise: float = 0.02
    block: int = 1
    lag: int = 0

    def __post_init__(self) -> None:
        whole = all(type(each) is int for each in (self.window, self.history, self.block, self.lag))
        if not whole or not (0 < self.history < self.window and self.block > 0 <= self.lag and 0 <= self.noise < 1):
            raise ValueError(f"rolling: {self}")
        if self.history % self.block:
            raise ValueError(f"rolling: a history of {self.history} is not of whole blocks of {self.block}")


@dataclass(frozen=True, kw_only=True)
class Fast:
    """A model's distilled version: a LoRA file in its folder, and how it samples, which its weights rest on.

    Its levels are those of the model's own schedule at so many `steps`. `default`: requests are made by it unless they
    say otherwise.
    """

    lora: str
    steps: int = 4
    guidance: float = 1.0
    solver: str = "euler"
    default: bool = False

    def __post_init__(self) -> None:
        place = PurePosixPath(self.lora)
        inside = not place.is_absolute() and ".." not in place.parts and place.suffix == ".safetensors"
        whole = type(self.steps) is int and self.steps > 0 and type(self.default) is bool
        if not (inside and whole and self.guidance >= 1):
            raise ValueError(f"fast: {self}")

    @property
    def name(self) -> str:
        """What the file is called among LoRAs."""
        return PurePosixPath(self.lora).stem


@dataclass(frozen=True, kw_only=True)
class Card:
    """A model's abilities and habits. `sizes` are render sizes, the default first.

    `upscale` is what the default delivered size is in render sizes; `seconds`, `steps`, `guidance` and
    `solver` are what a request gets that does not say; `guidance_2` is the second expert's, of a model that has two,
    where it is not the first one's. `shift_grows` says that the timestep shift grows with the size; it is the
    scheduler's at every size otherwise. `max_prompt` counts characters; `references` is how many reference pictures the
    model learned to look at. With `rolling` what is longer than a window is made window by window. `fast` is a
    version of fewer steps, where there is one.
    """

    name: str
    revision: str
    licence: str
    about: str = ""
    sizes: tuple[Size, ...]
    upscale: int = 1
    fps: int
    seconds: float
    max_seconds: float
    steps: int
    guidance: float
    guidance_2: float | None = None
    shift_grows: bool = True
    solver: str = "unipc"
    max_prompt: int = 2000
    verbs: tuple[str, ...] = VERBS
    references: int = 0
    rolling: Rolling | None = None
    fast: Fast | None = None

    @classmethod
    def load(cls, path: Path, verbs: tuple[str, ...]) -> Self:
        """The card in a file; raises BadWeights for one that is unreadable, incomplete or has unknown fields.

        `verbs` are those of a card that lists none.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            known = {field.name: field for field in fields(cls)}
            wrong = sorted(values.keys() - known)
            missing = sorted(name for name, field in known.items() if field.default is MISSING and name not in values)
            if wrong or missing:
                raise ValueError(f"unknown: {wrong}, missing: {missing}")
            values["sizes"] = tuple(Size(*map(int, size.split("x"))) for size in values["sizes"])
            values["verbs"] = tuple(values.get("verbs", verbs))
            if isinstance(values.get("rolling"), dict):
                values["rolling"] = Rolling(**values["rolling"])
            if isinstance(values.get("fast"), dict):
                values["fast"] = Fast(**values["fast"])
            if not values["sizes"]:
                raise ValueError("sizes: it is empty")
            return cls(**values)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError, InvalidRequest) as error:
            raise BadWeights(f"{path}: not a model card ({error}).", option="model") from error


def published(name: str, licence: str, space: int, verbs: tuple[str, ...], rolling: Rolling | None = None) -> Card:
    """The card of a folder that nobody knows, by its VAE's stride in space: Wan 2.1 renders 480p, Wan 2.2 TI2V 704p."""
    if space == 8:
        sizes, fps = ["832x480", "480x832", "624x624", "1280x720", "720x1280"], 16
    else:
        sizes, fps = ["1280x704", "704x1280", "960x960"], 24
    return Card(
        name=name,
        revision="unknown",
        licence=licence,
        sizes=tuple(Size.parse(size) for size in sizes),
        fps=fps,
        seconds=5.0,
        max_seconds=60.0 if rolling else 5.0,
        steps=30,
        guidance=5.0,
        shift_grows=False,
        verbs=verbs,
        rolling=rolling,
    )
