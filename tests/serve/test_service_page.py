"""What docs/service.md says of settings, backup, restore and lost secrets is so. 15 seconds, most of them searching."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hibari.access import Audit
from hibari.config import ServiceSettings, Settings
from hibari.media.encode import write_video
from hibari.provenance.answer import Answer
from hibari.provenance.places import CREDENTIALS, INDEX, KEYS, ledger_url
from hibari.provenance.verify import Verifier
from hibari.provenance.watermark.keys import KeyRing
from hibari.store import Store
from hibari.store.blobs import open_blobs
from hibari.store.queue import NewJob, Queue, Quota
from marked_house import CLIP_ID, FPS, House, build

PAGE = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
QUOTA = Quota(queue=9, jobs_at_once=9, seconds_a_day=99)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An installation with a clip of its own, a copy of it without credentials, and a video of the service."""
    made = build(tmp_path_factory.mktemp("house"))
    write_video(made.clip.with_name("stripped.mp4"), made.marked, FPS)
    yield made


def command_with(words: str) -> str:
    """The one line of the page's code that holds these words."""
    [line] = [line.strip() for line in PAGE.splitlines() if words in line]
    return line


def run(line: str, home: Path, folder: Path) -> None:
    """Run one of the page's commands, in `folder`."""
    line = line.replace("$HIBARI_HOME", str(home))
    words = [sys.executable if word == "python" else word for word in shlex.split(line)]
    subprocess.run(words, cwd=folder, check=True)


def restored(house: House, folder: Path, *without: str) -> Settings:
    """The installation in a new place, from a backup that was made as the page says while its database was in use."""
    home = Settings(home=folder / "home").ensure_home()
    with Store.open(ledger_url(house.settings)):
        run(command_with("sqlite3.connect"), house.settings.home, folder)
    (folder / "ledger.copy").rename(home / "ledger.sqlite3")
    for name in {KEYS, CREDENTIALS, "files"} - set(without):
        if (house.settings.home / name).exists():
            shutil.copytree(house.settings.home / name, home / name)
    assert not (home / INDEX).exists()
    return Settings(home=home)


def verified(settings: Settings, path: Path) -> Answer:
    with Verifier.open(settings, look_seconds=20) as verifier:
        return verifier.verify(path)


def test_every_setting_of_the_service_is_on_the_page() -> None:
    for each in fields(ServiceSettings):
        assert f"`HIBARI_{each.name.upper()}`" in PAGE, each.name
    [table] = re.findall(r"^\| variable .*?\n\n", PAGE, re.S | re.M)
    named = {name.lower() for name in re.findall(r"`HIBARI_(\w+)`", table)}
    assert named <= {each.name for each in (*fields(Settings), *fields(ServiceSettings))}


def test_a_restored_installation_goes_on(house: House, tmp_path: Path) -> None:
    blobs = open_blobs(house.settings)
    with Store.open(ledger_url(house.settings)) as store:
        job = NewJob(user="ann", verb="create", model="tiny", prompt="a lark", size="96x64", seconds="1", request={})
        waiting = Queue(store).add(job, quota=QUOTA, seconds=1)
        blobs.put(f"{waiting.id}/input.png", house.picture)
    settings = restored(house, tmp_path)
    answer = verified(settings, house.clip)
    assert answer.made_here and answer.intact and answer.entry is not None and answer.id == CLIP_ID
    with Store.open(ledger_url(settings), migrate=False) as store:
        claimed = Queue(store).claim("worker")
        assert claimed is not None and claimed.id == waiting.id
        assert Audit(store).verify().whole
    assert open_blobs(settings).size(f"{waiting.id}/input.png") == house.picture.stat().st_size


def test_another_machine_with_the_keys_finds_the_marks_and_one_without_does_not(house: House, tmp_path: Path) -> None:
    stripped = house.clip.with_name("stripped.mp4")
    other = Settings(home=tmp_path / "other")
    other.ensure_home()
    shutil.copytree(house.settings.home / KEYS, other.home / KEYS)
    assert verified(other, stripped).id == CLIP_ID
    without = tmp_path / "without"
    without.mkdir()
    assert not verified(restored(house, without, KEYS), stripped).made_here
    assert verified(restored(house, _made(tmp_path / "again"), CREDENTIALS), house.clip).rests_on == ("watermark",)


def test_a_watermark_key_that_was_made_ahead(tmp_path: Path) -> None:
    line = command_with("openssl rand")
    ring = KeyRing.open(tmp_path / "keys")
    run(f"sh -c {shlex.quote(line)}", tmp_path, tmp_path)
    assert [key.name for key in ring.all()] == ["2026-12"]
    assert ring.current(datetime(2026, 12, 24, tzinfo=UTC)) == ring.all()[0]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
