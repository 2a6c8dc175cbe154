"""What is said of a file: its origin here, and the same as a C2PA manifest definition.

Nothing that a person wrote goes in: no prompt, no user, no file name. Whoever has the ledger finds those by the
generation id. Signing is `sign.py`'s business.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hibari.provenance.ids import GenerationId

TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
GENERATION = "hibari.generation"  # our own assertion: the id and what it can be looked up by
GENERATION_PARAMETER = "hibari.generation_id"  # the same id in the action, for readers that show actions alone
WATERMARK_ALGORITHM = "hibari.watermark.1"  # not on C2PA's list of registered algorithms
Relationship = Literal["inputTo", "parentOf", "componentOf"]
_PARTS = {"inputTo": "input", "parentOf": "source", "componentOf": "component"}
_SUFFIXES = {"video/mp4": ".mp4", "image/png": ".png", "image/webp": ".webp", "image/jpeg": ".jpg"}


@dataclass(frozen=True, kw_only=True)
class Software:
    """What made the file."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """A picture or clip that went into the file.

    `relationship` is inputTo for what steered it (a start image), parentOf for what it was edited or extended from, and
    componentOf for what is in it unchanged. `title` says what part it played ("start image"), never its file name.
    """

    content: Path
    mime: str
    relationship: Relationship
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a file comes from. A "created" file has no parent, an "edited" one has exactly one.

    `watermark` is the algorithm that carries the id in the picture ("": none yet); `seconds` is 0 for a still;
    `marks` names what else was done to mark it, such as "visible label".
    """

    id: GenerationId
    created_at: datetime
    action: Literal["created", "edited"]
    software: Software
    model: str
    revision: str
    sources: tuple[Source, ...] = ()
    watermark: str = ""
    seconds: float = 0.0
    marks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.created_at.tzinfo is not None, "a time without its zone"
        parents = sum(source.relationship == "parentOf" for source in self.sources)
        assert parents == (self.action == "edited"), "an edited file has one parent, a created one has none"


def definition(origin: Origin, mime: str, bare: Collection[int] = ()) -> dict[str, Any]:
    """The manifest of a file of type `mime`, for the library's builder.

    Sources are added to the builder with `ingredient`; those whose index is in `bare` are only named here.
    """
    assertions = [
        {"label": "c2pa.actions.v2", "created": True, "data": {"actions": _actions(origin)}},
        {"label": "c2pa.ai-disclosure", "created": True, "data": _disclosure(origin)},
        {"label": GENERATION, "created": True, "data": _generation(origin)},
    ]
    if origin.watermark:
        assertions.append({"label": "c2pa.soft-binding", "created": True, "data": _soft_binding(origin)})
    return {
        "claim_generator_info": [_agent(origin)],
        "title": f"{origin.id}{_SUFFIXES[mime]}",
        "format": mime,
        "assertions": assertions,
        "ingredients": [ingredient(origin, index) for index in sorted(bare)],
    }


def can_sign(mime: str) -> bool:
    """Whether files of this type are signed here."""
    return mime in _SUFFIXES


def ingredient(origin: Origin, index: int) -> dict[str, Any]:
    """How one source is named in the manifest."""
    source = origin.sources[index]
    return {
        "title": source.title or _PARTS[source.relationship],
        "format": source.mime,
        "relationship": source.relationship,
        "label": _label(index),
        # The library would copy the id out of the source's own XMP, which may say whose camera or program it was.
        "instance_id": f"xmp.iid:{uuid.uuid4()}",
    }


def _actions(origin: Origin) -> list[dict[str, Any]]:
    """Opened or created first, as the specification wants it; then what was put in, then the watermark."""
    when = origin.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made: dict[str, Any] = {
        "action": f"c2pa.{origin.action}",
        "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "softwareAgent": _agent(origin),
        "when": when,
        "parameters": {GENERATION_PARAMETER: str(origin.id)},
    }
    inputs = _labels(origin, "inputTo")
    if inputs:
        made["parameters"]["ingredientIds"] = inputs
    opened = [
        {"action": "c2pa.opened", "when": when, "parameters": {"ingredientIds": [label]}}
        for label in _labels(origin, "parentOf")
    ]
    placed = [
        {"action": "c2pa.placed", "when": when, "parameters": {"ingredientIds": [label]}}
        for label in _labels(origin, "componentOf")
    ]
    marked = [{"action": "c2pa.watermarked.bound", "when": when}] if origin.watermark else []
    return [*opened, made, *placed, *marked]


def _disclosure(origin: Origin) -> dict[str, Any]:
    """C2PA 2.4, 18.29."""
    return {
        "modelType": "c2pa.types.model.pytorch",
        "modelName": origin.model,
        "modelIdentifier": f"pkg:generic/{origin.model}@{origin.revision}",
        "contentProfile": {"humanOversightLevel": "prompt_guided"},
    }


def _generation(origin: Origin) -> dict[str, Any]:
    return {
        "id": str(origin.id),
        "model": origin.model,
        "revision": origin.revision,
        "watermark": origin.watermark,
        "marks": list(origin.marks),
    }


def _soft_binding(origin: Origin) -> dict[str, Any]:
    """The id in the picture. `value` and `pad` should be CBOR byte strings; from JSON the library makes them arrays."""
    scope = {"timespan": {"start": 0, "end": round(origin.seconds * 1000)}} if origin.seconds else {}
    value = list(origin.id.value.to_bytes(6, "big"))
    return {"alg": origin.watermark, "pad": [], "blocks": [{"scope": scope, "value": value}]}


def _agent(origin: Origin) -> dict[str, str]:
    return {"name": origin.software.name, "version": origin.software.version}


def _labels(origin: Origin, relationship: Relationship) -> list[str]:
    return [_label(index) for index, source in enumerate(origin.sources) if source.relationship == relationship]


def _label(index: int) -> str:
    return f"source-{index + 1}"
