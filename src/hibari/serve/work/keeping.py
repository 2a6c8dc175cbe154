"""What a job keeps while it waits for a reviewer: the files that it starts from, and the clip that was held.

Everything goes among the blobs under the job's own name, where any machine finds it: a source may be deleted or expire
in the meantime, and a worker's folder is gone with the job. The row is the errand's to write.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hibari.serve.asked import Asked
from hibari.serve.files import blob_of
from hibari.serve.work.protocol import Make, Waits
from hibari.store.blobs import Blobs
from hibari.store.holds import HELD_FILE
from hibari.store.queue import Job


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The job as it can go on: what is asked for, with the blobs of its own, and `files` that its row is to name."""

    asked: Asked
    files: dict[str, str]


def keep(job: Job, blobs: Blobs, order: Make, waits: Waits) -> Kept:
    """Store what a job that waits needs; raises HibariError, and then some of it may lie there without a row."""
    folder, files, moved = Path(order.folder), dict[str, str](), dict[str, str]()
    for blob, name in order.inputs.items():
        if blob.partition("/")[0] != job.id:
            moved[blob] = files[Path(name).stem] = blob_of(job, name)
            blobs.put(moved[blob], folder / name)
    if waits.file:
        files[HELD_FILE] = order.held_as
        blobs.put(order.held_as, folder / waits.file)
    return Kept(asked=started_from(Asked.from_dict(order.asked), moved), files=files)


def started_from(asked: Asked, moved: Mapping[str, str]) -> Asked:
    """The same with some of its blobs under other names."""
    source = asked.source
    if source is not None:
        latents = moved.get(source.latents, source.latents) if source.latents is not None else None
        source = replace(source, video=moved.get(source.video, source.video), latents=latents)
    characters = tuple(replace(each, file=moved.get(each.file, each.file)) for each in asked.characters)
    image, end = (moved.get(blob, blob) if blob is not None else None for blob in (asked.input, asked.end_image))
    return replace(asked, input=image, end_image=end, source=source, characters=characters)
