"""What has had its time goes, and nothing else does. 3 seconds."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from hibari.serve.api.sweeper import ORPHAN_AFTER, Sweeper, Swept
from hibari.store import Store, tables
from hibari.store.blobs import FolderBlobs
from hibari.store.queue import Job, NewJob, Queue, Quota
from hibari.store.webhooks import Webhooks

QUOTA = Quota(queue=100, jobs_at_once=100, seconds_a_day=1000)
NOW, HOUR = datetime.now(UTC), timedelta(hours=1)


class House:
    """A store, its queue, its files, and what sweeps them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.queue, self.webhooks = store, Queue(store), Webhooks(store)
        self.blobs = FolderBlobs(folder / "files")
        self.sweeper = Sweeper(store, self.queue, self.blobs, self.webhooks, every_s=0.05)
        self._source = folder / "source"
        self._source.write_bytes(b"bytes")

    def put(self, name: str, age: timedelta = timedelta()) -> str:
        self.blobs.put(name, self._source)
        stored = (NOW - age).timestamp()
        os.utime(self.blobs.folder / name, (stored, stored))
        return name

    def add(self, key: str | None = None) -> Job:
        job = NewJob(user="ann", verb="create", model="tiny", prompt="a lark", size="96x64", seconds="1", request={})
        return self.queue.add(job, key=(key, "0" * 64) if key else None, quota=QUOTA, seconds=1)

    def finish(self, *, expires_in: timedelta, latents_in: timedelta = timedelta(hours=6)) -> str:
        self.add()
        job = self.queue.claim("worker")
        assert job is not None
        files = {"video": self.put(f"{job.id}/video.mp4"), "latents": self.put(f"{job.id}/latents.safetensors")}
        hours = {"keep_hours": expires_in / HOUR, "latents_hours": latents_in / HOUR}
        assert self.queue.complete(job, files=files, generation_id=1, **hours)
        return job.id

    def names(self) -> list[str]:
        return sorted(name for name, _ in self.blobs.names())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with Store.open(tmp_path / "hibari.db") as store:
        yield House(store, tmp_path)


def test_expired_videos_go_with_their_files(house: House) -> None:
    old, new = house.finish(expires_in=timedelta(seconds=-1)), house.finish(expires_in=timedelta(hours=1))
    waiting = house.add()
    house.put(f"{old}/video-1.mp4")  # of an attempt that was killed: no row names it
    house.put(f"{old}/preview-1.webp")
    assert house.sweeper.sweep() == Swept(videos=1)
    assert house.queue.find(old) is None and house.queue.find(new) is not None
    assert house.queue.find(waiting.id) is not None
    assert house.names() == [f"{new}/latents.safetensors", f"{new}/video.mp4"]
    assert house.sweeper.sweep() == Swept()


def test_what_is_allowed_between_two_looks_stays(house: House) -> None:
    """The row as the sweeper finds it, and not as it was when somebody listed it, is what goes."""
    late, gone = (house.finish(expires_in=timedelta(seconds=-1)) for _ in range(2))

    class Watched(FolderBlobs):
        def clear(self, owner: str) -> int:
            with house.store.writing() as connection:  # while the first goes, a reviewer lets the other go on
                again = update(tables.videos).where(tables.videos.c.id != owner)
                connection.execute(again.values(status="queued", expires_at=None))
            return super().clear(owner)

    sweeper = Sweeper(house.store, house.queue, Watched(house.blobs.folder), house.webhooks)
    assert sweeper.sweep() == Swept(videos=1)
    assert [house.queue.find(id) is None for id in (late, gone)] == [True, False]


def test_latents_go_before_their_video(house: House) -> None:
    video = house.finish(expires_in=timedelta(hours=1), latents_in=timedelta(seconds=-1))
    assert house.sweeper.sweep() == Swept(latents=1)
    assert house.names() == [f"{video}/video.mp4"]
    left = house.queue.find(video)
    assert left is not None and left.files == {"video": f"{video}/video.mp4"}


def test_files_that_no_row_knows_go_after_a_day(house: House) -> None:
    old = ORPHAN_AFTER + timedelta(minutes=1)
    kept = house.finish(expires_in=timedelta(hours=1))
    os.utime(house.blobs.folder / kept / "video.mp4", ((NOW - old).timestamp(),) * 2)
    waiting = house.put(f"{house.add().id}/input.png", old)
    character = house.put("char_" + "a" * 24 + "/clip.mp4", old)
    young = house.put("video_" + "b" * 24 + "/input.png", ORPHAN_AFTER - timedelta(minutes=1))
    house.put("video_" + "c" * 24 + "/video.mp4", old)
    house.put("char_" + "d" * 24 + "/clip.mp4", old)
    row = {"id": "char_" + "a" * 24, "user_name": "ann", "name": "lark", "created_at": NOW, "file": character}
    with house.store.writing() as connection:
        connection.execute(insert(tables.characters).values(row | {"consent": {}}))
    assert house.sweeper.sweep(NOW) == Swept(orphans=2)
    expected = [f"{kept}/latents.safetensors", f"{kept}/video.mp4", waiting, character, young]
    assert house.names() == sorted(expected)
    house.put("video_" + "c" * 24 + "/video.mp4", old)
    assert house.sweeper.sweep(NOW + timedelta(minutes=59)) == Swept(), "names are read once an hour"
    assert house.sweeper.sweep(NOW + timedelta(minutes=61)).orphans == 2, "and the young one is a day old now"


def test_idempotency_keys_hold_for_a_day(house: House) -> None:
    first = house.add("old")
    house.add("new")
    keys = tables.idempotency
    with house.store.writing() as connection:
        old = update(keys).where(keys.c.video_id == first.id)
        connection.execute(old.values(created_at=NOW - timedelta(days=1, minutes=1)))
    assert house.sweeper.sweep() == Swept(keys=1)
    with house.store.reading() as connection:
        assert list(connection.scalars(select(keys.c.key))) == ["new"]


def test_it_sweeps_until_it_is_stopped_and_outlives_a_fault(house: House, caplog: pytest.LogCaptureFixture) -> None:
    stuck = house.finish(expires_in=timedelta(seconds=-1))
    (house.blobs.folder / stuck / "video.mp4").unlink()
    (house.blobs.folder / stuck / "video.mp4" / "in the way").mkdir(parents=True)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(house.sweeper.run(stop))
        while "the sweeper waits" not in caplog.text:
            await asyncio.sleep(0.02)
        later = house.finish(expires_in=timedelta(seconds=-1))
        while house.queue.find(later) is not None:
            await asyncio.sleep(0.02)
        stop.set()
        await task

    with caplog.at_level("INFO", "hibari.serve"):
        asyncio.run(asyncio.wait_for(run(), 10))
    assert house.queue.find(stuck) is None, "the row goes first; what is left of its files is an orphan"
