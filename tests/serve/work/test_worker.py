"""A real worker with a real maker on the tiny model: jobs become files, and whatever dies costs nobody's job.

About 50 seconds, most of them the start of five makers.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from PIL import Image
from sqlalchemy import select, update

from hibari.config import ServiceSettings, Settings
from hibari.errors import WrongSecrets
from hibari.media.decode import probe, read_image
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Ledger
from hibari.provenance.places import INDEX, ledger_url
from hibari.serve.asked import Asked, CharacterUse
from hibari.serve.files import blob_of
from hibari.serve.work.errand import Pace, percent
from hibari.serve.work.protocol import Step
from hibari.serve.work.worker import FOLDER, work
from hibari.store import Store, refusals, tables
from hibari.store.blobs import Blobs, open_blobs
from hibari.store.queue import Job, NewJob, Queue, Quota
from hibari.store.quota import used
from houses import own_home

WIDE = Quota(queue=1000, jobs_at_once=1000, seconds_a_day=1e6)
PATIENCE_S = 300.0  # for a busy machine
LONG = {"seconds": 8.0, "steps": 400}  # nothing that would be done before a test has looked
PICTURE = {"verb": "image", "seconds": 0.0}


class House:
    """A data folder, its queue and its blobs, as the API's side sees them."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.queue = Queue(store)
        self.blobs: Blobs = open_blobs(settings)

    def ask(self, *, user: str = "ann", files: dict[str, str] | None = None, **fields: object) -> Job:
        values = {
            "verb": "create",
            "prompt": "an octopus drifts to the left",
            "model": "tiny",
            "seconds": 0.5,
            "seed": 4,
        }
        asked = Asked(**(values | {"size": "192x128"} | fields))  # type: ignore[arg-type]
        new = NewJob(
            user=user,
            verb=asked.verb,
            model="tiny",
            prompt=asked.prompt,
            size="192x128",
            seconds=f"{asked.seconds:g}",
            request=asked.to_dict(),
            files=files or {},
        )
        return self.queue.add(new, quota=WIDE, seconds=0.5)

    def now(self, job: Job) -> Job:
        found = self.queue.find(job.id)
        assert found is not None
        return found

    def wait(self, job: Job, until: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + PATIENCE_S
        while not until(found := self.now(job)):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def end_of(self, job: Job) -> Job:
        return self.wait(job, lambda now: now.status in ("completed", "failed"))

    def bring(self, blob: str, path: Path) -> Path:
        self.blobs.fetch(blob, path)
        return path


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = own_home(home, tmp_path_factory.mktemp("service") / "home")
    settings = Settings(home=folder, model="tiny", device="cpu", dtype="float32", user="operator")
    with Store.open(ledger_url(settings)) as store:
        yield House(settings, store)


@contextmanager
def working(house: House, pace: Pace | None = None, settings: Settings | None = None) -> Iterator[Event]:
    stop = Event()
    thread = Thread(target=lambda: work(settings or house.settings, stop=stop, pace=pace))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def worker(house: House) -> Iterator[Event]:
    """One worker for the whole module; which maker it has changes."""
    with working(house) as stop:
        yield stop


def maker_pid() -> int:
    """The process number of the maker that this process has started."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            is_ours = f"PPid:\t{os.getpid()}\n" in status.read_text()
            if is_ours and b"hibari.serve.work.maker" in status.with_name("cmdline").read_bytes():
                return int(status.parent.name)
        except (FileNotFoundError, ProcessLookupError):  # gone since
            continue
    pytest.fail("there is no maker")


@pytest.mark.usefixtures("worker")
def test_a_job_becomes_files_that_are_recorded_as_its_users(house: House, tmp_path: Path) -> None:
    job = house.ask(user="ben", flow_shift=2.5)
    done = house.end_of(job)
    assert (done.status, done.error, done.progress) == ("completed", None, 100)
    assert set(done.files) == {"video", "thumbnail", "spritesheet", "latents"}
    info = probe(house.bring(done.files["video"], tmp_path / "a.mp4"))
    assert (info.width, info.height, info.fps, info.frames) == (192, 128, 12, 6)
    for kind, suffix in (("thumbnail", "webp"), ("spritesheet", "jpg")):
        assert read_image(house.bring(done.files[kind], tmp_path / f"{kind}.{suffix}")).ndim == 3
    assert done.generation_id is not None
    entry = Ledger(house.store, house.settings.home / INDEX).find(GenerationId(done.generation_id))
    assert entry is not None and entry.user == "ben" and entry.request["seed"] == 4
    assert entry.request["flow_shift"] == 2.5
    assert done.moments.expires_at is not None
    assert abs(done.moments.expires_at - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=5)


@pytest.mark.usefixtures("worker")
def test_a_start_image_comes_from_its_blob_and_one_that_is_gone_fails(house: House, tmp_path: Path) -> None:
    Image.new("RGB", (192, 128), (40, 90, 200)).save(tmp_path / "blue.png")
    blob = "video_" + "0" * 24 + "/input.png"
    house.blobs.put(blob, tmp_path / "blue.png")
    assert house.end_of(house.ask(input=blob, consent="nobody", strength=0.5)).status == "completed"
    house.blobs.delete(blob)
    gone = house.end_of(house.ask(input=blob, consent="nobody"))
    assert gone.error is not None and gone.error.code == "invalid_value"
    assert "not there any more" in gone.error.message
    pip = CharacterUse(id="char_" + "0" * 24, name="Pip", file=blob, consent="nobody")
    without = house.end_of(house.ask(characters=(pip,)))
    assert without.error is not None and without.error == gone.error, "a character that was deleted"


@pytest.mark.usefixtures("worker")
def test_what_the_screens_refuse_and_what_the_model_cannot_do(house: House) -> None:
    refused = house.end_of(house.ask(user="zoe", prompt="a naked woman on a bed, explicit"))
    assert refused.error is not None and refused.error.code == "moderation_blocked"
    assert refused.error.message
    with house.store.reading() as connection:
        assert refusals.totals(connection)["sexual_content"] == 1, "counted by the category that said no"
        assert used(connection, "zoe", datetime.now(UTC)).seconds_today == 0, "nothing was made"
    too_long = house.end_of(house.ask(seconds=900.0))
    assert too_long.error is not None and too_long.error.code == "invalid_value"
    assert str(house.settings.home) not in too_long.error.message


@pytest.mark.usefixtures("worker")
def test_a_picture(house: House, tmp_path: Path) -> None:
    done = house.end_of(house.ask(**PICTURE))
    assert (done.status, set(done.files)) == ("completed", {"image"})
    assert read_image(house.bring(done.files["image"], tmp_path / "a.png")).shape == (128, 192, 3)


@pytest.mark.usefixtures("worker")
def test_deleting_a_running_job_stops_it_within_a_step_and_keeps_the_maker(house: House) -> None:
    before = maker_pid()
    job = house.ask(**LONG)
    house.wait(job, lambda now: now.progress > 5)
    assert house.queue.remove(job.id) is not None
    done = house.end_of(house.ask(**PICTURE))
    assert (done.status, done.error) == ("completed", None)
    assert maker_pid() == before, "it was told to stop, and did"
    assert not list((house.settings.home / FOLDER).glob(f"*/{job.id}-*")), "nothing of it is left"


@pytest.mark.usefixtures("worker")
def test_a_maker_that_is_killed_costs_an_attempt_and_no_job(house: House) -> None:
    job = house.ask(**LONG)
    house.wait(job, lambda now: now.progress > 5)
    os.kill(maker_pid(), signal.SIGKILL)
    again = house.wait(job, lambda now: now.crashes == 1)
    assert again.status == "queued"
    house.wait(job, lambda now: now.status == "in_progress" and now.progress > again.progress)
    house.queue.remove(job.id)
    assert house.end_of(house.ask(**PICTURE)).status == "completed"


def test_a_worker_that_stops_gives_back_what_it_has_no_time_for(house: House, worker: Event) -> None:
    worker.set()  # the module's own has done its part; its folder goes last
    deadline = time.monotonic() + PATIENCE_S
    while list((house.settings.home / FOLDER).iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job = house.ask(**LONG)
    with working(house, Pace(farewell_s=0.2)) as stop:
        house.wait(job, lambda now: now.progress > 5)
        stop.set()
    given = house.now(job)
    assert (given.status, given.lease, given.crashes) == ("queued", None, 0)
    assert not list((house.settings.home / FOLDER).iterdir()), "its private folder went with it"
    house.queue.remove(job.id)


def test_a_maker_that_makes_no_step_is_killed(house: House) -> None:
    job, impatient = house.ask(**LONG), replace(house.settings, service=ServiceSettings(stall_seconds=8.0))
    with working(house, settings=impatient):
        house.wait(job, lambda now: now.progress > 5)
        os.kill(maker_pid(), signal.SIGSTOP)
        assert house.wait(job, lambda now: now.crashes == 1).status == "queued"
        house.queue.remove(job.id)


def test_a_worker_whose_secrets_are_not_the_houses_gives_the_job_back_and_ends(house: House) -> None:
    job, secrets = house.ask(**PICTURE), tables.house_secrets
    ours = secrets.c.name.startswith("watermark")
    noted: list[str] = []

    def become_strange() -> None:  # as if the house's key were another machine's; the maker has noted its own by now
        with house.store.writing() as connection:
            noted.append(connection.execute(select(secrets.c.sha256).where(ours)).scalar_one())
            connection.execute(update(secrets).where(ours).values(sha256="f" * 64))

    with pytest.raises(WrongSecrets, match="not the one"):
        work(house.settings, stop=Event(), on_ready=become_strange)
    with house.store.writing() as connection:
        connection.execute(update(secrets).where(ours).values(sha256=noted[0]))
    given = house.now(job)
    assert (given.status, given.crashes, given.error) == ("queued", 0, None)
    house.queue.remove(job.id)


def test_progress_never_reaches_the_end_before_the_end() -> None:
    stages = [("screen", 1), ("load", 1), ("denoise", 4), ("frames", 6), ("sign", 1), ("stills", 1)]
    told = [
        percent(Step(job="v", stage=stage, done=done, total=total))
        for stage, total in stages
        for done in range(total + 1)
    ]
    assert told == sorted(told) and told[0] == 0 and told[-1] == 98


def test_each_claim_has_files_of_its_own(house: House) -> None:
    job = house.ask()
    first = house.queue.claim("one")
    assert first is not None and first.id == job.id
    assert blob_of(first, "video.mp4") == f"{job.id}/video-1.mp4"
    assert house.queue.crashed(first, "it died")
    house.queue.remove(job.id)
