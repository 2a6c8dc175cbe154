"""A job that waits has files of its own, whatever becomes of what it started from. Under a second."""

from pathlib import Path

import pytest

from hibari.serve.asked import Asked, CharacterUse, Source
from hibari.serve.work.errand import blobs_of
from hibari.serve.work.keeping import keep
from hibari.serve.work.protocol import Make, Waits
from hibari.store import Store
from hibari.store.blobs import FolderBlobs
from hibari.store.queue import Queue
from queue_jobs import add, taken

OTHER = "video_" + "0" * 24


@pytest.mark.parametrize("file", ["", "held.mp4"])
def test_sources_and_the_held_clip_are_kept_under_the_jobs_own_name(tmp_path: Path, file: str) -> None:
    with Store.open(tmp_path / "a.db") as store:
        queue = Queue(store)
        add(queue)
        job = taken(queue)
    own = f"{job.id}/input.png"
    source = Source(id=OTHER, video=f"{OTHER}/v.mp4", latents=None, seconds=1, size="96x64", frames=12, fps=12)
    character = CharacterUse(id="char_1", name="Rex", file="char_" + "1" * 24 + "/clip.mp4", consent="nobody")
    asked = Asked(
        verb="edit", prompt="a fox", model="tiny", seconds=1, input=own, source=source, characters=(character,)
    )
    (tmp_path / "job").mkdir()
    inputs = {}
    for number, blob in enumerate(blobs_of(asked)):
        inputs[blob] = f"in-{number}{Path(blob).suffix}"
        (tmp_path / "job" / inputs[blob]).write_bytes(blob.encode())
    (tmp_path / "job" / "held.mp4").write_bytes(b"clip")
    order = Make(
        job=job.id,
        user="ann",
        asked=asked.to_dict(),
        folder=str(tmp_path / "job"),
        inputs=inputs,
        held_as=f"{job.id}/held-1.mp4",
    )
    blobs = FolderBlobs(tmp_path / "files")
    kept = keep(job, blobs, order, Waits(job=job.id, generation_id=7, message="it waits", file=file))
    assert kept.asked.input == own, "it is the job's own already"
    assert kept.asked.source is not None
    moved = {source.video: kept.asked.source.video, character.file: kept.asked.characters[0].file}
    for before, now in moved.items():
        assert now.startswith(f"{job.id}/") and b"".join(blobs.open(now)) == before.encode()
    assert set(kept.files.values()) == {*moved.values(), *([order.held_as] if file else [])}
    assert {name for name, _ in blobs.names()} == set(kept.files.values())
