"""A clip that was held and that a reviewer let through, on its way to its video in the service.

The file leaves as it was signed; it only has to be the one that is recorded. Its stills are made now, since nothing
leaves of a clip that waits. Who may decide is `review`'s to say; what was decided is read from the records.
"""

from dataclasses import dataclass
from pathlib import Path

from hibari.errors import InvalidRequest, OutputError
from hibari.media.files import file_sha256
from hibari.produce.record import Record
from hibari.produce.replay import COMPONENTS
from hibari.produce.road import Hibari
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldItem
from hibari.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class ReleasedClip:
    """An allowed clip. `record` is what its stills are made from; None where its model is another by now."""

    id: GenerationId
    record: Record | None


def release_clip(hibari: Hibari, item: HeldItem, request: GenerationRequest, path: Path) -> ReleasedClip:
    """The clip of an allowed item, which lies at `path`; `request` is what it was made for.

    Where a still of the clip was held, the clip is the still's component. Raises InvalidRequest where it was not
    allowed, OutputError where the file is not the one that was signed.
    """
    shown = item.request.get(COMPONENTS)
    id = GenerationId.parse(shown[0]) if shown else item.id
    entry = hibari.door.ledger.find(id)
    if entry is None or entry.state != "delivered" or item.state != "allowed":
        raise InvalidRequest(f"{id} was not let through.", option="id")
    if file_sha256(path) != entry.delivery.file_sha256:
        raise OutputError(f"the file of {id} is not the one that was signed.", option="id")
    job = hibari.prepare(request, path)
    if (job.model.name, job.revision) != (entry.model, entry.revision):
        return ReleasedClip(id=id, record=None)
    record = Record(
        id=id,
        path=path,
        request=job.request,
        plan=job.plan,
        making=entry.making,
        model=entry.model,
        revision=entry.revision,
        file_sha256=entry.delivery.file_sha256,
        seconds={},
    )
    return ReleasedClip(id=id, record=record)
