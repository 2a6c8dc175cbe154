"""A recorded generation made again, and whether it came out the same."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hibari.errors import InvalidRequest
from hibari.produce.record import Record
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Entry, Making
from hibari.request import GenerationRequest

_KEPT = ("prompt", "negative", "strength", "size", "seconds", "fps", "seed", "steps", "guidance", "image", "consent")

COMPONENTS = "components"  # in the request that is kept of a sheet: the generations that it shows


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """The new record, and how the first was made."""

    record: Record
    making: Making

    @property
    def same(self) -> bool:
        """Whether latents and frames before marking are the same, bit for bit."""
        return (self.record.making.latents_sha256, self.record.making.frames_sha256) == (
            self.making.latents_sha256,
            self.making.frames_sha256,
        )

    @property
    def why(self) -> str:
        """What differs between the two makings besides the frames."""
        then, now = self.making, self.record.making
        differing = [
            f"{name} {getattr(then, name)} then and {getattr(now, name)} now"
            for name in ("device", "dtype", "threads")
            if getattr(then, name) != getattr(now, name)
        ]
        return ", ".join(differing) or "the machine or its libraries differ"


def request_of(entry: Entry) -> GenerationRequest:
    """The request of an entry, with nothing left open; raises InvalidRequest where it or a source is gone."""
    if entry.request is None:
        raise InvalidRequest(f"the request of {entry.id} was erased.", option="id")
    if COMPONENTS in entry.request:
        shown = ", ".join(entry.request[COMPONENTS])
        raise InvalidRequest(f"{entry.id} is a sheet, which is not replayed.", option="id", hint=f"It shows {shown}.")
    image_sha256 = entry.sources[0].sha256 if entry.sources else None
    return asked_again(entry.id, entry.request, entry.model, image_sha256)


def asked_again(
    id: GenerationId, values: dict[str, Any], model: str | None, image_sha256: str | None
) -> GenerationRequest:
    """A request as it was kept; raises InvalidRequest where its start image is gone or another by now."""
    kept = {name: values[name] for name in _KEPT if values[name] is not None}
    if "image" in kept:
        image = Path(kept["image"])
        if not image.is_file() or hashlib.sha256(image.read_bytes()).hexdigest() != image_sha256:
            raise InvalidRequest(f"the start image of {id} is gone or another: {image}.", option="id")
    return GenerationRequest(**kept, model=model)
