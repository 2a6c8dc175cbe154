"""What docs/service.md says of settings, backup, restore and lost secrets is so. 20 seconds, most of them searching."""

import os
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
from hibari.errors import WrongSecrets
from hibari.media.encode import write_video
from hibari.provenance.answer import Answer
from hibari.provenance.house import house_of
from hibari.provenance.places import CREDENTIALS, INDEX, KEYS, ledger_url
from hibari.provenance.verify import Verifier
from hibari.provenance.watermark.keys import KeyRing
from hibari.serve.supervisor import serve
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
    words = shlex.split(line)
    program = [sys.executable, "-m", "hibari"] if words[0] == "hibari" else words[:1]
    environment = os.environ | {"HIBARI_HOME": str(home)}
    subprocess.run([*program, *words[1:]], cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)


def restored(house: House, folder: Path, *without: str) -> Settings:
    """The installation in a new place, from a backup that was made as the page says while its database was in use."""
    save, put = command_with("hibari backup /"), command_with("hibari restore /")
    backup, home = save.split()[-1], put.split()[-1]
    with Store.open(ledger_url(house.settings)):
        run(save.replace(backup, str(folder / "backup")), house.settings.home, folder)
    for name in without:
        shutil.rmtree(folder / "backup" / name)
    run(put.replace(backup, str(folder / "backup")).replace(home, str(folder / "home")), house.settings.home, folder)
    assert not (folder / "home" / INDEX).exists()
    return Settings(home=folder / "home")


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


def test_a_wrong_secret_is_noticed_and_one_that_is_renewed_is_not(house: House, tmp_path: Path) -> None:
    settings = restored(house, tmp_path)
    with Store.open(ledger_url(settings)) as store:
        house_of(settings, store).join()
        for name in ("root.pem", "signer.pem"):
            (settings.home / CREDENTIALS / name).unlink()
        house_of(settings, store).join()
        assert sum(name.startswith("signer") for name in house_of(settings, store).noted()) == 2
    assert verified(settings, house.clip).rests_on == ("metadata", "watermark"), "what was signed before stays known"
    stranger = Settings(home=tmp_path / "stranger", database=f"sqlite:///{ledger_url(settings)}")
    with pytest.raises(WrongSecrets):
        serve(stranger, host="127.0.0.1", port=0, workers=0)


def test_a_watermark_key_that_was_made_ahead(tmp_path: Path) -> None:
    line = command_with("openssl rand")
    ring = KeyRing.open(tmp_path / "keys")
    run(f"sh -c {shlex.quote(line)}", tmp_path, tmp_path)
    assert [key.name for key in ring.all()] == ["2026-12"]
    assert ring.current(datetime(2026, 12, 24, tzinfo=UTC)) == ring.all()[0]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
