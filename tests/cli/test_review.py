"""`hibari review` as a person meets it, from the held prompt to the file, and an erasure. About 15 seconds."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hibari.config import operator
from houses import holding, own_home

Run = Callable[..., subprocess.CompletedProcess[str]]
ASK = ("generate", "ein Fuchs läuft mit dem Oktopus", "--seconds", "0", "--steps", "1", "-o", "fox.png")


@pytest.fixture
def house(home: Path, tmp_path: Path) -> dict[str, str]:
    """A data folder of its own, as the environment names it."""
    return {"HIBARI_HOME": str(own_home(home, tmp_path / "house"))}


def test_a_held_prompt_from_asking_to_the_file(run: Run, house: dict[str, str], tmp_path: Path) -> None:
    asked = run(*ASK, **house)
    assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (2, "", 1), (
        "why, and nothing of what comes after"
    )
    last = asked.stderr.splitlines()[-1]
    assert last.startswith("hibari: PROMPT: Held for review for text that the screen cannot read: ")
    assert "Write it in plain English" in last and "`hibari review list`" in last
    id = re.findall(r"hbr_[0-9a-z]{10}", last)[0]
    line = run("review", "list", **house).stdout
    assert line.startswith(id) and "unreadable" in line and "ein Fuchs" in line and line.count("\n") == 1
    shown = run("review", "show", id, **house).stdout
    assert "ein Fuchs läuft" in shown and "may decide: no reviewers are named" in shown
    assert json.loads(run("review", "show", id, "--json", **house).stdout)["permission"]["granted"] is True
    unsaid = run("review", "allow", id, **house)
    assert unsaid.returncode == 2 and "--note: it is missing" in unsaid.stderr
    allowed = run("review", "allow", id, "--note", "a fox", **house)
    assert (allowed.returncode, allowed.stdout) == (0, "fox.png\n"), allowed.stderr
    assert f"recorded as {id}" in allowed.stderr and f"{id} allowed by {operator()}" in allowed.stderr
    assert (tmp_path / "out" / "fox.png").exists()
    again = run("review", "refuse", id, "--note", "no", **house)
    assert again.returncode == 2 and "ID: " in again.stderr and "allowed by" in again.stderr


def test_a_held_file_is_listed_exported_and_erased(run: Run, house: dict[str, str], tmp_path: Path) -> None:
    settings = house | {"HIBARI_POLICY": str(holding(tmp_path)), "HIBARI_USER": "ann"}
    asked = run("generate", "a fox", "--seconds", "0", "--steps", "1", **settings)
    assert asked.returncode == 2 and "Held for review" in asked.stderr, asked.stderr
    (item,) = [json.loads(line) for line in run("review", "list", "--json", **settings).stdout.splitlines()]
    held = tmp_path / "house" / item["file"]
    assert held.exists() and item["stage"] == "frames"
    denied = run("review", "allow", item["id"], "--note", "x", **settings)
    assert denied.returncode == 2 and "HIBARI_REVIEWERS: ann may not decide" in denied.stderr
    exported = json.loads(run("ledger", "export", "ann", **settings).stdout)
    assert [each["file"] for each in exported["held_items"]] == [item["file"]]
    with sqlite3.connect(tmp_path / "house" / "ledger.sqlite3") as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM generations").fetchall()
        erased = run("ledger", "erase", "ann", "--yes", **settings)
    reader.close()
    assert "Stop it, or wait for it, and run this command again." in erased.stderr
    assert "ann is erased from 1 generations, 0 videos, 1 held items and 1 files" in erased.stderr
    again = run("ledger", "erase", "ann", "--yes", **settings)
    assert again.returncode == 1 and again.stderr.startswith("hibari: nothing is kept of ann; "), "and no traces"
    answer = json.loads(erased.stdout)
    assert (answer["generations"], answer["held_items"], answer["files_deleted"]) == ([item["id"]], 1, 1)
    assert not held.exists() and run("review", "list", **settings).stderr == "hibari: nothing waits.\n"
