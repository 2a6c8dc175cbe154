"""What a job was asked for, as its row keeps it: the contract between the API, which checks it, and the worker.

A record and its JSON alone. Files are named as blobs, never as paths; the worker brings them to its own disk.
"""

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, Self, TypeVar

from hibari.errors import InvalidRequest

Verb = Literal["create", "remix", "edit", "extend", "image"]
_Kind = TypeVar("_Kind")


@dataclass(frozen=True, kw_only=True)
class CharacterUse:
    """A character that a prompt may name: its id, its name, its reference clip (a blob), and the consent stated."""

    id: str
    name: str
    file: str
    consent: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """The video that a remix, an edit or an extension starts from.

    `id` is None for an uploaded clip. `video` and `latents` are blobs; the clip has so many frames at `fps`, in `size`
    (WxH), and lasts `seconds`.
    """

    id: str | None
    video: str
    latents: str | None
    seconds: float
    size: str
    frames: int
    fps: float


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """How a job is to be sampled. None leaves a setting to the model. `loras` are uses of LoRAs as text.

    `fast`: by the model's version of few steps, or by the full one.
    """

    negative: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    guidance_2: float | None = None
    flow_shift: float | None = None
    fast: bool | None = None
    loras: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asked(Sampled):
    """One job, checked. None leaves a setting to the model.

    `model` is the model itself, never an alias, and the row's column too, by which workers claim; `called` is the name
    that the client gave, which the Video object echoes.
    `size` is the delivered "WxH". `seconds` is what is to be made: of an extension the new part alone, 0 for a
    picture. `num_frames` is what was asked for, and `seconds` already says it. `input` is the start image, and
    `end_image` the end image (blobs). `source` is there for remix, edit and extend alone. `consent` is about the people
    in these or `source`.
    `request_id` is the HTTP request's that asked, for the log.
    """

    verb: Verb
    prompt: str
    model: str
    called: str = ""
    size: str | None = None
    seconds: float
    fps: int | None = None
    num_frames: int | None = None
    strength: float | None = None
    input: str | None = None
    end_image: str | None = None
    source: Source | None = None
    characters: tuple[CharacterUse, ...] = ()
    consent: str | None = None
    request_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the row's JSON."""
        return asdict(self) | {"characters": [asdict(one) for one in self.characters]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The record in a row; what an older release did not write yet takes its default. Raises InvalidRequest."""
        source = values.get("source")
        characters = tuple(_read(CharacterUse, one) for one in values.get("characters", ()))
        read = {"source": _read(Source, source) if source is not None else None, "characters": characters}
        read |= {"loras": tuple(values.get("loras", ()))}
        return _read(cls, values | read)


def _read(kind: type[_Kind], values: dict[str, Any]) -> _Kind:
    """A record of its fields' values; raises InvalidRequest for unknown ones, and for missing ones without default."""
    known = {field.name: field.default is MISSING for field in fields(kind)}  # type: ignore[arg-type]
    strange = values.keys() - known
    if strange or (strange := {name for name, is_needed in known.items() if is_needed and name not in values}):
        raise InvalidRequest(
            f"This video was asked for in another version of the service ({', '.join(sorted(strange))}).",
            hint="Ask for it again.",
        )
    return kind(**values)
