"""`hibari keys`, `users`, `quota` and `audit` as an operator meets them, and an erasure. About 12 seconds."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert

from hibari.access import Keys
from hibari.store import Store, tables

Run = Callable[..., subprocess.CompletedProcess[str]]
KEY = re.compile(r"hk-[A-Za-z0-9_-]{43}\n")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "house"


@pytest.fixture
def ask(run_without_torch: Run, here: Path) -> Run:
    return lambda *arguments: run_without_torch(*arguments, "--home", str(here))


def test_a_key_from_its_making_to_its_end(ask: Run, here: Path) -> None:
    made = ask("keys", "create", "--user", "ann", "--role", "creator")
    assert made.returncode == 0 and KEY.fullmatch(made.stdout), made.stderr
    assert "of ann (creator), does not expire. The key is shown this once" in made.stderr
    limited = ("--scope", "video.read", "--scope", "video.list", "--expires-days", "2")
    second = ask("keys", "create", "--user", "ann", "--quiet", *limited)
    assert KEY.fullmatch(second.stdout) and second.stderr == ""
    listed = ask("keys", "list").stdout
    assert listed.count("\n") == 2 and "never used" in listed and "only video.list video.read" in listed
    assert made.stdout.strip() not in listed and f"…{made.stdout.strip()[-4:]}" in listed
    with Store.open(here / "ledger.sqlite3") as store:
        actor = Keys(store).authenticate(made.stdout.strip())
        assert actor is not None and (actor.user, actor.role) == ("ann", "creator")
    (first, _) = [json.loads(line) for line in ask("keys", "list", "--json").stdout.splitlines()]
    assert first["last_used_at"] is not None and first["user"] == "ann"
    assert ask("keys", "revoke", first["id"]).returncode == 0
    assert "revoked" in ask("keys", "list").stdout
    with Store.open(here / "ledger.sqlite3") as store:
        assert Keys(store).authenticate(made.stdout.strip()) is None
        assert Keys(store).authenticate(second.stdout.strip()) is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("keys create", "Whose key is it to be? Add --user NAME."),
        ("keys create --user ann", "--role: ann is a new user."),
        ("keys create --user ann --role king", "--role: 'king' is not a role. Allowed: admin"),
        ("keys create --user ann --role viewer --scope video.fly", "--scope: 'video.fly' is not a scope."),
        ("keys create --user ann --role viewer --expires-days 0", "--expires-days: 0 is not allowed."),
        ("keys create --user ann --role viewer --expires-days nan", "--expires-days: nan is not allowed."),
        ("keys revoke key_0", "'key_0' is no key here."),
        ("users role ann admin", "'ann' is no user here."),
        ("quota show ann", "'ann' is no user here."),
        ("quota set ann", "nothing is to be set."),
    ],
)
def test_bad_input_is_said_and_makes_nobody(
    capsys: pytest.CaptureFixture[str], here: Path, arguments: str, said: str
) -> None:
    from hibari.cli import run

    assert run([*arguments.split(), "--home", str(here)]) == 2
    out, err = capsys.readouterr()
    assert said in err and out == "" and err.count("\n") == 1
    assert run(["users", "list", "--home", str(here)]) == 0
    assert capsys.readouterr().out == ""


def test_users_quotas_and_the_record_of_it_all(
    capsys: pytest.CaptureFixture[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hibari.cli import run

    monkeypatch.setenv("HIBARI_HOME", str(here))
    monkeypatch.setenv("HIBARI_USER", "root")

    def said(*arguments: str, code: int = 0) -> str:
        assert run([*arguments]) == code, capsys.readouterr().err
        return capsys.readouterr().out

    said("keys", "create", "--user", "ann", "--role", "creator")
    said("users", "role", "ann", "viewer")
    said("users", "disable", "ann")
    assert re.fullmatch(r"ann +viewer +since \d{4}-\d\d-\d\d  disabled\n", said("users", "list"))
    said("users", "enable", "ann")
    assert "0 of 600 s today" in said("quota", "show") and "priority 0" in said("quota", "show", "ann")
    assert "0 of 12.5 s today" in said("quota", "set", "ann", "--seconds-a-day", "12.52", "--priority", "2")
    facts = json.loads(said("quota", "show", "--json"))
    assert (facts["seconds_a_day"], facts["jobs_at_once"], facts["priority"]) == (12.52, 4, 2)
    assert facts["own"] == ["seconds_a_day"]
    assert "of 7 jobs" in said("quota", "set", "ann", "--jobs-at-once", "7", "--reset")
    assert json.loads(said("quota", "show", "--json"))["own"] == ["jobs_at_once"]
    assert run(["quota", "set", "ann", "--jobs-at-once", "-1"]) == 2
    assert "-1 jobs at once is no limit" in capsys.readouterr().err
    rows = [json.loads(line) for line in said("audit", "list", "--json").splitlines()]
    assert [row["reason"].removeprefix("at the command line: ") for row in reversed(rows)] == [
        "a new key",
        "the role viewer",
        "disabled",
        "enabled",
        "limits of seconds_a_day 12.52, priority 2",
        "limits of jobs_at_once 7, priority 0",
    ]
    assert {(row["actor"], row["resource"]) for row in rows} == {("local:root", "user/ann")}
    assert said("audit", "list", "--actor", "ann") == ""
    assert "user/ann: at the command line: disabled" in said("audit", "list")
    whole = said("audit", "verify")
    head = whole.split()[-1]
    assert whole == f"whole: 6 rows, head {head}\n" and len(head) == 64
    with sqlite3.connect(here / "ledger.sqlite3") as database:
        database.execute("DELETE FROM audit WHERE sequence = 6")
    assert json.loads(said("audit", "verify", "--json"))["whole"] is True
    assert "rows are gone" in said("audit", "verify", "--holds", head, code=1)
    with sqlite3.connect(here / "ledger.sqlite3") as database:
        database.execute("UPDATE audit SET reason = '' WHERE sequence = 2")
    database.close()
    assert "broken at row 2 of 5" in said("audit", "verify", code=1)


def test_an_erasure_takes_the_service_with_it(
    capsys: pytest.CaptureFixture[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hibari.cli import run

    monkeypatch.setenv("HIBARI_HOME", str(here))
    assert run(["keys", "create", "--user", "ann", "--role", "creator"]) == 0
    token = capsys.readouterr().out.strip()
    name = f"video_{'0' * 24}/video.mp4"
    blob = here / "files" / name
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"a lark")
    blob.with_name("video-1.mp4").write_bytes(b"of an attempt that was killed")
    asked = {"verb": "create", "model": "tiny", "size": "96x64", "seconds": "4", "status": "completed", "progress": 100}
    asked |= {"request": {}, "priority": 0, "cost": 1.0, "attempt": 1, "crashes": 0, "files": {"video": name}}
    with Store.open(here / "ledger.sqlite3") as store, store.writing() as connection:
        created_at = connection.execute(tables.users.select()).one().created_at
        row = asked | {"id": blob.parent.name, "user_name": "ann", "created_at": created_at}
        connection.execute(insert(tables.videos).values(row))
    assert run(["ledger", "erase", "ann", "--yes"]) == 0
    erased = json.loads(capsys.readouterr().out)
    assert (erased["videos"], erased["owners"], erased["files_deleted"]) == (1, [blob.parent.name], 2)
    assert not blob.parent.exists()
    with Store.open(here / "ledger.sqlite3") as store:
        assert Keys(store).authenticate(token) is None and Keys(store).list() == []
    assert run(["audit", "verify"]) == 0, "and the log still holds"
    assert run(["audit", "list"]) == 0
    assert "ann" not in capsys.readouterr().out


def test_an_erasure_of_keys_alone_is_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hibari.cli import run

    monkeypatch.setenv("HIBARI_HOME", str(here))
    assert run(["keys", "create", "--user", "bob", "--role", "viewer", "--quiet"]) == 0
    assert [run(["ledger", "erase", "bob", "--yes"]) for _ in range(2)] == [0, 1], "and then nothing is kept"
