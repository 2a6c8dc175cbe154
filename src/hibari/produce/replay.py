"""A recorded generation made again, and whether it came out the same."""

from dataclasses import dataclass
from typing import Any

from hibari.errors import InvalidRequest
from hibari.media.files import file_sha256
from hibari.produce.record import Record
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Entry, Making
from hibari.request import GenerationRequest

_KEPT = (
    *("prompt", "negative", "strength", "size", "seconds", "fps", "seed", "steps", "guidance", "guidance_2"),
    *("flow_shift", "image", "end_image", "video", "extend", "references", "consent", "loras", "shortcuts", "fast"),
)

COMPONENTS = "components"  # in the request that is kept of a sheet: the generations that it shows


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """The new record, and how the first was made: `from_latents` where its clip came as the latents kept of it.

    `ran_out`: memory ran out while it was decoded.
    """

    record: Record
    making: Making
    from_latents: bool = False
    ran_out: bool = False

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
        if self.from_latents:
            differing.append("its clip was known by latents that were kept then, and is encoded now")
        if self.ran_out:
            differing.append("memory ran out while it was decoded then, and went on in smaller pieces")
        return ", ".join(differing) or "the machine or its libraries differ"


def request_of(entry: Entry) -> GenerationRequest:
    """The request of an entry, with nothing left open; raises InvalidRequest where it or a source is gone."""
    if entry.request is None:
        raise InvalidRequest(f"the request of {entry.id} was erased.", option="id")
    if COMPONENTS in entry.request:
        shown = ", ".join(entry.request[COMPONENTS])
        raise InvalidRequest(f"{entry.id} is a sheet, which is not replayed.", option="id", hint=f"It shows {shown}.")
    return asked_again(entry.id, entry.request, entry.model, [source.sha256 for source in entry.sources])


def asked_again(
    id: GenerationId, values: dict[str, Any], model: str | None, sources_sha256: list[str]
) -> GenerationRequest:
    """A request as it was kept; raises InvalidRequest where one of its files is gone or another by now."""
    # What an earlier release kept has fewer names.
    kept = {name: values[name] for name in _KEPT if values.get(name) is not None}
    request = GenerationRequest(**{"fast": False} | kept, model=model)
    if len(request.sources) != len(sources_sha256):
        raise InvalidRequest(f"the files that {id} started from are not on record any more.", option="id")
    for path, digest in zip(request.sources, sources_sha256, strict=True):
        if not path.is_file() or file_sha256(path) != digest:
            titles = {request.image: "start image", request.end_image: "end image", request.video: "clip"}
            named = titles.get(path, "reference")
            raise InvalidRequest(f"the {named} of {id} is gone or another: {path}.", option="id")
    return request
