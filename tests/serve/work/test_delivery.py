"""Files of a job on their way, while the database and the place for files fail. About 3 seconds."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer

import pytest

from hibari.config import ServiceSettings
from hibari.errors import OutputError, StoreError
from hibari.serve.work.delivery import Carrier
from hibari.serve.work.protocol import Made, Make, Waits
from hibari.serve.work.pulse import Pulse
from hibari.store import Store
from hibari.store.blobs import BlobMissing, FolderBlobs
from hibari.store.holds import HELD_FILE
from hibari.store.queue import Job, Queue
from queue_jobs import WIDE, add, new, taken


class Breaking(Queue):
    """A queue whose connection breaks once after a commit: the change stands, and nobody hears of it."""

    breaks = 0

    def complete(self, job: Job, **given: object) -> bool:
        return self._heard(super().complete(job, **given))  # type: ignore[arg-type]

    def hold(self, job: Job, message: str, **given: object) -> bool:
        return self._heard(super().hold(job, message, **given))  # type: ignore[arg-type]

    def _heard(self, answer: bool) -> bool:
        if self.breaks:
            self.breaks -= 1
            raise StoreError("it cannot be reached.")
        return answer


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Breaking]:
    with Store.open(tmp_path / "hibari.db") as store:
        yield Breaking(store)


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "files")


def carrier(queue: Queue, blobs: FolderBlobs, tmp_path: Path, *, job: Job, files_s: float = 30.0) -> Carrier:
    folder = tmp_path / job.id
    folder.mkdir()
    for name in ("video.mp4", "held.mp4"):
        (folder / name).write_bytes(name.encode())
    return Carrier(
        job=job,
        queue=queue,
        blobs=blobs,
        folder=folder,
        service=ServiceSettings(),
        pulse=Pulse(queue, job, tick_s=0.1),
        stop=Event(),
        retry_s=0.1,
        files_s=files_s,
    )


def claimed(queue: Queue) -> Job:
    add(queue)
    return taken(queue)


def made(job: Job) -> Made:
    return Made(job=job.id, generation_id=7, files={"video": "video.mp4"})


def names(blobs: FolderBlobs) -> set[str]:
    return {name for name, _ in blobs.names()}


def now(queue: Queue, job: Job) -> Job:
    found = queue.find(job.id)
    assert found is not None
    return found


def away(blobs: FolderBlobs) -> Path:
    """Take the place for files away; where it is to come back from."""
    return blobs.folder.rename(blobs.folder.with_name("away"))


def test_files_of_a_finished_video_stay_where_the_answer_was_lost(
    queue: Breaking, blobs: FolderBlobs, tmp_path: Path
) -> None:
    job = claimed(queue)
    queue.breaks = 1
    carrier(queue, blobs, tmp_path, job=job).deliver(made(job))
    assert now(queue, job).status == "completed"
    assert names(blobs) == set(now(queue, job).files.values()) == {f"{job.id}/video-1.mp4"}


def test_so_do_those_of_a_video_that_waits_for_a_reviewer(queue: Breaking, blobs: FolderBlobs, tmp_path: Path) -> None:
    job = claimed(queue)
    asked = {"verb": "create", "prompt": "a fox", "model": "tiny", "size": "96x64", "seconds": 1.0}
    order = Make(job=job.id, user="ann", asked=asked, folder=str(tmp_path / job.id), held_as=f"{job.id}/held-1.mp4")
    queue.breaks = 1
    waits = Waits(job=job.id, generation_id=7, message="it waits", file="held.mp4")
    carrier(queue, blobs, tmp_path, job=job).hold(waits, order)
    assert now(queue, job).files == {HELD_FILE: order.held_as} and names(blobs) == {order.held_as}


def test_a_change_that_may_still_come_keeps_its_files(queue: Breaking, blobs: FolderBlobs, tmp_path: Path) -> None:
    job = claimed(queue)
    on_its_way = carrier(queue, blobs, tmp_path, job=job)
    on_its_way.pulse.lost.set()
    on_its_way.deliver(made(job))
    blobs.put(f"{job.id}/video-1.mp4", on_its_way.folder / "video.mp4")
    on_its_way.deliver(made(job))
    assert names(blobs) == {f"{job.id}/video-1.mp4"}, "the row is still this claim's"
    queue.remove(job.id)
    on_its_way.deliver(made(job))
    assert not names(blobs), "and now nobody's"


def test_what_was_held_goes_once_it_is_the_video(queue: Breaking, blobs: FolderBlobs, tmp_path: Path) -> None:
    queue.add(new(files={HELD_FILE: "video_" + "0" * 24 + "/held-1.mp4"}), quota=WIDE, seconds=4)
    job = taken(queue)
    (tmp_path / "clip").write_bytes(b"clip")
    blobs.put(job.files[HELD_FILE], tmp_path / "clip")
    queue.breaks = 1
    carrier(queue, blobs, tmp_path, job=job).deliver(made(job))
    assert names(blobs) == {f"{job.id}/video-1.mp4"}


def test_a_place_for_files_that_comes_back_has_them_all(queue: Breaking, blobs: FolderBlobs, tmp_path: Path) -> None:
    job = claimed(queue)
    gone = away(blobs)
    Timer(0.5, lambda: gone.rename(blobs.folder)).start()
    carrier(queue, blobs, tmp_path, job=job).deliver(made(job))
    assert (now(queue, job).status, now(queue, job).crashes) == ("completed", 0)
    assert names(blobs) == {f"{job.id}/video-1.mp4"}


def test_one_that_stays_away_is_no_crash_of_the_jobs(queue: Breaking, blobs: FolderBlobs, tmp_path: Path) -> None:
    job = claimed(queue)
    away(blobs)
    began = time.monotonic()
    carrier(queue, blobs, tmp_path, job=job, files_s=0.3).deliver(made(job))
    assert time.monotonic() - began > 0.3
    again = taken(queue, "another")
    assert (again.id, again.crashes, again.lease and again.lease.attempt) == (job.id, 0, 1)


def test_inputs_are_waited_for_and_what_is_missing_is_not(queue: Breaking, blobs: FolderBlobs, tmp_path: Path) -> None:
    job = claimed(queue)
    fetching = carrier(queue, blobs, tmp_path, job=job, files_s=0.3)
    blob = f"{job.id}/input.png"
    began = time.monotonic()
    with pytest.raises(BlobMissing):
        fetching.fetch(blob, "in-0.png")
    assert time.monotonic() - began < 0.3
    (blobs.folder / job.id).touch()  # a file in the way of the folder: the disk's fault
    with pytest.raises(OutputError) as caught:
        fetching.fetch(blob, "in-0.png")
    assert not isinstance(caught.value, BlobMissing) and time.monotonic() - began > 0.3
    (blobs.folder / job.id).unlink()
    blobs.put(blob, fetching.folder / "video.mp4")
    fetching.fetch(blob, "in-0.png")
    gone = away(blobs)
    Timer(0.1, lambda: gone.rename(blobs.folder)).start()
    fetching.fetch(blob, "in-0.png")
    assert (fetching.folder / "in-0.png").read_bytes() == b"video.mp4"
