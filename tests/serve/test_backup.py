"""Backup and restore: a service that goes on meanwhile, and what was made before is served and proven after. 10 s."""

import asyncio
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from databases import new_database, postgres
from hibari.access import Audit, Keys, Users
from hibari.config import Settings
from hibari.errors import InvalidRequest, OutputError, StoreError, WrongSecrets
from hibari.provenance.house import house_of
from hibari.provenance.places import CREDENTIALS, KEYS, ledger_url
from hibari.provenance.verify import Verifier
from hibari.serve.api.app import create_app
from hibari.serve.api.service import Service
from hibari.serve.backup import back_up, restore
from hibari.store import Store
from hibari.store.blobs import open_blobs
from hibari.store.queue import Job, Queue
from marked_house import CLIP_ID, House, build
from queue_jobs import add

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build(tmp_path_factory.mktemp("house"))


def delivered(store: Store, settings: Settings, clip: Path) -> Job:
    """A finished video of ann's."""
    queue = Queue(store)
    job = add(queue)
    claimed = queue.claim("worker")
    assert claimed is not None and claimed.id == job.id
    blob = f"{job.id}/video-1.mp4"
    open_blobs(settings).put(blob, clip)
    assert queue.complete(claimed, files={"video": blob}, generation_id=CLIP_ID.value, keep_hours=24, latents_hours=6)
    return job


@contextmanager
def busy(store: Store) -> Iterator[list[Job]]:
    """Somebody who asks for videos all the while."""
    over, asked = Event(), list[Job]()

    def ask() -> None:
        while not over.wait(0.001):
            asked.append(add(Queue(store)))

    thread = Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def content(settings: Settings, key: str, video: str) -> httpx.Response:
    """A video's file, from an API over these settings."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://hibari.test") as client:
            return await client.get(f"/v1/videos/{video}/content", headers={"Authorization": f"Bearer {key}"})

    service = Service.open(settings)
    try:
        return asyncio.run(ask())
    finally:
        service.close()


def test_what_was_made_is_served_and_proven_after_a_restore(house: House, tmp_path: Path) -> None:
    with Store.open(ledger_url(house.settings)) as store:
        house_of(house.settings, store).join()
        Users(store).add("ann", "creator")
        key, _ = Keys(store).create("ann")
        job = delivered(store, house.settings, house.clip)
        with busy(store) as asked:
            while not asked:
                pass
            made = back_up(house.settings, tmp_path / "backup")
    assert made.database and made.files == 1
    for path in (tmp_path / "backup").rglob("*"):
        assert not stat.S_IMODE(path.parent.stat().st_mode) & 0o077, path
    settings = Settings(home=tmp_path / "new")
    assert restore(settings, tmp_path / "backup") == made
    answer = content(settings, key, job.id)
    assert answer.status_code == 200 and answer.content == house.clip.read_bytes()
    with Verifier.open(settings, look_seconds=20) as verifier:
        found = verifier.verify(house.clip)
    assert found.made_here and found.intact and found.id == CLIP_ID and set(found.rests_on) == {"metadata", "watermark"}
    with Store.open(ledger_url(settings), migrate=False) as store:
        house_of(settings, store).join()
        assert Audit(store).verify().whole
        waiting = Queue(store).depth()["queued"]
        assert 1 <= waiting <= len(asked), "as of one moment, in the middle"
        claimed = Queue(store).claim("another")
        assert claimed is not None and claimed.id == asked[0].id


def test_a_backup_without_the_keys_starts_nothing(house: House, tmp_path: Path) -> None:
    with Store.open(ledger_url(house.settings)) as store:
        house_of(house.settings, store).join()
    back_up(house.settings, tmp_path / "backup")
    for name in (KEYS, CREDENTIALS):
        shutil.rmtree(tmp_path / "backup" / name)
    settings = Settings(home=tmp_path / "new")
    restore(settings, tmp_path / "backup")
    with Store.open(ledger_url(settings)) as store, pytest.raises(WrongSecrets, match="not known here"):
        house_of(settings, store).join()


def test_nothing_is_written_over(house: House, tmp_path: Path) -> None:
    back_up(house.settings, tmp_path / "backup")
    with pytest.raises(InvalidRequest) as caught:
        back_up(house.settings, tmp_path / "backup")
    assert caught.value.option == "folder"
    with pytest.raises(InvalidRequest) as caught:
        restore(house.settings, tmp_path / "backup")
    assert caught.value.option == "home"
    (tmp_path / "backup" / "backup.json").unlink()  # as one that was broken off has none
    with pytest.raises(InvalidRequest, match="no whole backup"):
        restore(Settings(home=tmp_path / "new"), tmp_path / "backup")
    with pytest.raises(StoreError):
        back_up(Settings(home=tmp_path / "none"), tmp_path / "other")


def test_a_restore_that_the_disk_has_no_room_for_leaves_nothing_and_can_be_done_again(
    house: House, tmp_path: Path
) -> None:
    settings = Settings(home=house.settings.home, database=f"sqlite:///{ledger_url(house.settings)}")
    with Store.open(ledger_url(settings)) as store:
        job = add(Queue(store))
        open_blobs(settings).put(f"{job.id}/video-1.mp4", house.clip)
    made = back_up(settings, tmp_path / "backup")
    assert made.database
    new = Settings(home=tmp_path / "new", database=f"sqlite:///{tmp_path / 'elsewhere.db'}")
    database = tmp_path / "elsewhere.db"
    for most in ((tmp_path / "backup" / "database.sqlite3").stat().st_size - 1, house.clip.stat().st_size - 1, 16):
        with little_room(most), pytest.raises((OutputError, StoreError)):
            restore(new, tmp_path / "backup")
        assert not database.exists() and not (new.home / KEYS).exists() and not (new.home / CREDENTIALS).exists()
    assert restore(new, tmp_path / "backup") == made
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    with Store.open(database, migrate=False) as store:
        assert Queue(store).find(job.id) is not None
    assert open_blobs(new).size(f"{job.id}/video-1.mp4") == house.clip.stat().st_size


@contextmanager
def little_room(most: int) -> Iterator[None]:
    """No file gets larger than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_of_postgres_all_else_is_copied(house: House, tmp_path: Path, postgres: str) -> None:
    home, url = tmp_path / "home", new_database(postgres)
    shutil.copytree(house.settings.home / KEYS, home / KEYS)
    home.chmod(0o700)
    settings = Settings(home=home, database=url)
    with Store.open(url) as store:
        job = delivered(store, settings, house.clip)
    made = back_up(settings, tmp_path / "backup")
    assert not made.database and made.files == 1
    with pytest.raises(InvalidRequest) as caught:
        restore(Settings(home=tmp_path / "new"), tmp_path / "backup")
    assert caught.value.option == "database"
    other = Settings(home=tmp_path / "new", database=url)
    restore(other, tmp_path / "backup")
    assert open_blobs(other).size(f"{job.id}/video-1.mp4") == house.clip.stat().st_size
    assert datetime.fromisoformat(made.at) <= datetime.now(UTC)
