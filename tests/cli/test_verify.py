"""`hibari verify` as a person meets it: its words, its exit codes, its JSON. About 12 seconds."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import marked_house
from hibari.cli import run as run_here
from hibari.media.encode import write_still
from marked_house import CLIP_ID, PICTURE_ID, House, credentials_onto

Run = Callable[..., subprocess.CompletedProcess[str]]
KEYS = {"file", "made_here", "intact", "id", "rests_on", "error", "techniques"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return marked_house.build(tmp_path_factory.mktemp("house"))


@pytest.fixture(autouse=True)
def at_home(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(house.settings.home))
    monkeypatch.setenv("COLUMNS", "80")


def verify(*arguments: object) -> int:
    return run_here(["verify", "--seconds", "600", *map(str, arguments)])


def test_a_file_of_ours(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(house.clip) == 0
    out, err = capsys.readouterr()
    name, *lines = out.splitlines()
    assert (name, err) == (str(house.clip), "")
    assert max(map(len, lines)) <= 80
    text = " ".join(out.split())
    assert "Made here, and as it was when it was signed." in text
    assert f"rests on metadata and watermark id {CLIP_ID} when 2026-11-22 12:30 UTC by tiny, revision 7" in text
    assert "as 1 s of 480x320 at 8 fps" in text
    assert "made from anns garden.png (sha256 " in text and "made here too" in text
    assert f"Content Credentials, signed here as “Studio Hibari”, for {CLIP_ID}; they fit the file." in text
    assert f"watermark {CLIP_ID}, read in full. Chance alone does that in fewer than one of a" in text
    assert f"Similar to {CLIP_ID} in 2 of 2 half seconds" in text


def test_a_screenshot(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(house.marked[2][:300, :400]).save(tmp_path / "shot.jpg", quality=90)
    assert verify(tmp_path / "shot.jpg") == 3
    text = " ".join(capsys.readouterr().out.split())
    assert "Made here, and altered or stripped since. rests on watermark id" in text
    assert "1 s of 480x320 at 8 fps; this is a single picture of it, 400x300" in text
    assert "No Content Credentials in the file. The ledger kept the credentials that it left with." in text


def test_foreign_and_borrowed(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = marked_house.scene(8, 1)[0, ::2, ::2]
    write_still(tmp_path / "foreign.png", foreign, "PNG")
    shutil.copy(tmp_path / "foreign.png", tmp_path / "borrowed.png")
    credentials_onto(house.picture, tmp_path / "borrowed.png")
    assert verify(tmp_path / "foreign.png", tmp_path / "borrowed.png") == 1
    first, second = (" ".join(part.split()) for part in capsys.readouterr().out.split("\n\n/"))
    assert "Nothing found. That proves nothing: it may come from elsewhere, or have lost its marks." in first
    assert "rests on" not in first and "fingerprint Like nothing that was made here." in first
    assert "Not proven. It carries credentials that were signed here, but for other content" in second
    assert f"for {PICTURE_ID}; they do not fit the file." in second and "rests on" not in second


def test_several_files_are_lines_of_one_form(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none\n.mp4").write_text("hello")
    assert verify("--json", house.picture, tmp_path / "none\n.mp4", tmp_path, house.picture) == 2
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert err == "" and [answer["made_here"] for answer in answers] == [True, False, False, True]
    for answer in answers:
        assert set(answer) >= KEYS
        assert set(answer["techniques"]) == {"metadata", "watermark", "fingerprint"}
        assert all({"found", "id"} <= set(found) for found in answer["techniques"].values())
    assert "folder" in answers[2]["error"] and answers[0]["error"] is None
    assert verify(tmp_path / "none\n.mp4") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("hibari: ") and err.count("\n") == 1


@pytest.mark.parametrize(("codes", "worst"), [([0, 3], 3), ([3, 0, 1], 1), ([1, 2, 0], 2), ([0, 0], 0)], ids=str)
def test_the_worst_of_several(house: House, tmp_path: Path, codes: list[int], worst: int) -> None:
    write_still(tmp_path / "1.png", marked_house.scene(8, 1)[0, ::4, ::4], "PNG")
    write_still(tmp_path / "3.png", house.marked_picture, "PNG")
    shutil.copy(house.picture, tmp_path / "0.png")
    assert verify("--json", *[tmp_path / f"{code}.png" for code in codes]) == worst


def test_a_bare_machine_needs_no_torch(run_without_torch: Run, house: House, tmp_path: Path) -> None:
    done = run_without_torch("verify", str(house.picture), "--home", str(tmp_path / "none"))
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stdout.split())
    assert "Content Credentials of “Studio Hibari”, who is not known here; they fit the file." in text
    assert "there is no key here" in text and "Nothing was recorded here" in text
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("trouble", "says"), [("damaged", "not a database"), ("newer", "newer Hibari"), ("locked", "holds it locked")]
)
def test_a_ledger_in_trouble(
    house: House, tmp_path: Path, trouble: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(house.settings.home, home)
    ledger = home / "ledger.sqlite3"
    connection = sqlite3.connect(ledger, isolation_level=None)
    if trouble == "damaged":
        connection.close()
        ledger.write_bytes(b"no database " * 999)
    elif trouble == "newer":
        connection.execute("UPDATE hibari_schema SET version_num = '9999'")
    else:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
    assert verify(house.picture, "--home", home) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and err.count("\n") == 1
    assert verify(house.picture, house.clip, "--home", home, "--json") == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2 and all(says in line["error"] for line in lines)
    connection.close()


def test_how_long_to_look_is_checked(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["verify", str(house.clip), "--seconds", "0"]) == 2
    assert capsys.readouterr().err.startswith("hibari: --seconds: 0 is not allowed.")
