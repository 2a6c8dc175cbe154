"""The supervisor keeps its crew, shows the first key once, and takes a whole service up and down. About 20 seconds."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from hibari.access import Audit, Keys
from hibari.cli import run
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.provenance.places import ledger_url
from hibari.serve.supervisor import Crew, announcement, serve, shared_out, url_of, wait_before, welcome
from hibari.store import Store
from houses import own_home

PATIENCE_S = 60.0


def soon(said: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


def crew(tmp_path: Path, code: str, size: int = 2) -> Crew:
    return Crew(settings=Settings(home=tmp_path), size=size, command=(sys.executable, "-c", code, str(tmp_path)))


# Reads its settings as a worker does, leaves a mark, and waits for its pipe to end.
STEADY = """
import json, os, pathlib, sys
json.loads(sys.stdin.readline())
mark = pathlib.Path(sys.argv[1], "marks", str(os.getpid()))
mark.touch()
sys.stdin.read()
"""


def no_need() -> None:
    raise AssertionError("none of these says that no other could work")


def test_a_worker_that_dies_is_replaced_and_the_crew_goes_home(tmp_path: Path, marks: Path) -> None:
    kept = crew(tmp_path, STEADY)
    with kept.working(no_need):
        soon(lambda: len(list(marks.iterdir())) == 2)
        first = int(next(marks.iterdir()).name)
        os.kill(first, signal.SIGKILL)
        soon(lambda: len(list(marks.iterdir())) == 3)
    for mark in marks.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.name), 0)


def test_one_that_cannot_start_is_tried_later_each_time(tmp_path: Path, marks: Path) -> None:
    code = STEADY.replace("sys.stdin.read()", "sys.exit(1)")
    kept = crew(tmp_path, code, size=1)
    with kept.working(no_need):
        soon(lambda: kept.posts[0].deaths >= 3)
        assert len(list(marks.iterdir())) == 3
    assert [wait_before(deaths) for deaths in (1, 2, 3, 4, 20)] == [0, 1, 2, 4, 60]


def test_one_that_had_worked_or_was_killed_is_started_again_at_once(tmp_path: Path, marks: Path) -> None:
    for round_, end in enumerate(("print('ready', flush=True); sys.exit(1)", "os.kill(os.getpid(), 9)"), 1):
        kept = crew(tmp_path, STEADY.replace("sys.stdin.read()", end), size=1)
        with kept.working(no_need):
            soon(lambda so_far=4 * round_: len(list(marks.iterdir())) >= so_far)  # type: ignore[misc]
            assert kept.posts[0].deaths == 0


def test_a_first_worker_that_says_why_it_cannot_ends_the_service(tmp_path: Path, marks: Path) -> None:
    kept = crew(tmp_path, STEADY.replace("sys.stdin.read()", "print('cannot: no lungs', end=''); sys.exit(1)"), size=1)
    ends = Event()
    with kept.working(ends.set):
        assert ends.wait(PATIENCE_S)
    assert kept.refusal == "no lungs" and len(list(marks.iterdir())) == 1


def test_a_later_worker_that_says_why_it_cannot_is_tried_again(tmp_path: Path, marks: Path) -> None:
    code = "os.kill(os.getpid(), 9) if len(list(mark.parent.iterdir())) == 1 else print('cannot: no lungs', end='')"
    kept = crew(tmp_path, STEADY.replace("sys.stdin.read()", code), size=1)
    with kept.working(no_need):
        soon(lambda: kept.posts[0].deaths >= 2)
    assert kept.refusal == "" and len(list(marks.iterdir())) >= 3


def test_the_first_user_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(tmp_path / "hibari.db") as store:
        token = welcome(store, tmp_path)
        said = capsys.readouterr().err
        assert token is not None and token not in said and str(tmp_path / "admin.key") in said
        assert (tmp_path / "admin.key").read_text() == token + "\n"
        assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600
        keys = Keys(store)
        actor = keys.authenticate(token)
        keys.close()
        assert actor is not None and (actor.user, actor.role) == ("admin", "admin")
        assert [(entry.actor, entry.action) for entry in Audit(store).list()] == [("admin", "user.manage")]
        assert welcome(store, tmp_path) is None and capsys.readouterr().err == ""


def test_a_person_at_a_terminal_reads_the_first_key_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with Store.open(tmp_path / "hibari.db") as store, os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        token = welcome(store, tmp_path)
        assert token is not None and token in os.read(ours, 1000).decode()
    os.close(ours)
    assert not (tmp_path / "admin.key").exists()


def test_workers_share_the_cores_unless_threads_are_set(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert shared_out(settings, 1) == settings
    assert shared_out(settings, 1000).threads == 1
    assert shared_out(Settings(home=tmp_path, threads=3), 2).threads == 3


def test_what_cannot_be_served_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidRequest) as caught:
            serve(Settings(home=tmp_path), host="127.0.0.1", port=taken.getsockname()[1], workers=0)
        assert caught.value.option == "port" and "perhaps another hibari" in str(caught.value).lower()
        assert url_of(taken).startswith("http://127.0.0.1:")
    with pytest.raises(InvalidRequest):
        serve(Settings(home=tmp_path), host="127.0.0.1", port=0, workers=-1)
    with pytest.raises(InvalidRequest) as caught:
        serve(Settings(home=tmp_path), host="192.0.2.1", port=0, workers=0)
    assert caught.value.option == "host"


@pytest.mark.parametrize("words", [["--device", "mps"], ["--workers", "0"]])
def test_what_no_worker_could_do_is_refused_before_there_is_a_key(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    if words[0] == "--workers":
        monkeypatch.setenv("HIBARI_POLICY", str(tmp_path / "nope.toml"))
    elif sys.platform == "darwin":
        pytest.skip("this machine has the device")
    assert run(["serve", "--port", "0", *words, "--home", str(home)]) == 2
    said = capsys.readouterr().err
    assert ("mps is not there" in said or "nope.toml cannot be read" in said) and said.count("\n") == 1
    assert not home.exists()


def test_an_address_is_one_that_others_can_use() -> None:
    with socket.socket() as everywhere, socket.socket() as here:
        everywhere.bind(("0.0.0.0", 0))
        here.bind(("127.0.0.1", 0))
        where, tls = announcement(everywhere)
        assert f"http://{socket.gethostname()}:" in where and "all addresses" in where and "no TLS" in tls
        assert announcement(here) == [f"Hibari serves at {url_of(here)}/v1"]


def test_a_port_out_of_range_is_told_the_range(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--port", "99999"]) == 2
    assert capsys.readouterr().err == "hibari: --port: '99999' is not allowed. Give 0 to 65535.\n"


@pytest.fixture
def served(home: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Settings]]:
    settings = Settings(home=own_home(home, tmp_path / "home"), model="tiny")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HIBARI_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "hibari", "serve", "--port", "0", "--workers", "1", "--home", str(settings.home)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"HIBARI_MODEL": "tiny"},
    )
    try:
        yield process, settings
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_a_service_comes_up_and_goes_down_in_order(served: tuple[subprocess.Popen[str], Settings]) -> None:
    process, settings = served
    assert process.stderr is not None
    said = ""
    while "serves at" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    key, address = (settings.home / "admin.key").read_text().strip(), re.search(r"serves at (http://\S+/v1)", said)
    assert address is not None and "hk-" not in said, "no log has a key in it"
    asked = urllib.request.Request(f"{address[1]}/videos", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert json.load(answer)["data"] == []
    soon(lambda: bool(list((settings.home / "work").glob("*"))))  # the worker is at its place
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    end = process.stderr.read()
    assert "Fatal" not in end, "no process aborts on its way out"
    assert "goes back into the queue" in end and '"says": "stopped"' in end
    assert not list((settings.home / "work").glob("*")), "the worker has gone, and its folder with it"
    with Store.open(ledger_url(settings), migrate=False) as store:
        assert welcome(store, settings.home) is None
