"""The other verbs, and what all of them share. About 10 seconds."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hibari.cli import VERBS, run

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hibari ")


WITH_VERBS_OF_THEIR_OWN = ("worlds", "evaluate", "ledger", "review", "secrets", "keys", "users", "quota", "audit")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_without_torch(run_without_torch: Run, verb: str) -> None:
    done = run_without_torch(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert "--home" in done.stdout or verb in WITH_VERBS_OF_THEIR_OWN


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["genrate"], "Did you mean generate?"),
        (["fly"], "Verbs: generate"),
        (["models", "--colour"], "--colour"),
        (["generate", "a", "b"], "--help"),
        (["train"], "RECIPE: it is missing"),
        (["worlds"], "Missing command"),
        (["worlds", "sheet", "--whole"], "hibari worlds build"),
        (["models", "--home"], "--home"),
        (["doctor", "--stamp"], "HIBARI_TIMESTAMP_URL"),
        (["work", "--model", "./mini"], "jobs name their model"),
        (["cluster", "--workers", "1", "--model", "./mini"], "Move the folder into"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("hibari: ") and says in err


def test_models_say_what_they_can_do(run_without_torch: Run, home: Path) -> None:
    text = run_without_torch("models").stdout
    assert "tiny  Apache-2.0, revision 7" in text
    assert "octopus, fox" in text
    rows = json.loads(run_without_torch("models", "--json").stdout)
    tiny = next(row for row in rows if row["name"] == "tiny")
    assert tiny["default_size"] == "192x128"
    assert tiny["folder"] == str(home / "models/tiny")


def test_published_models_are_listed_without_any_being_here(run_without_torch: Run) -> None:
    text = run_without_torch("models", "--known").stdout
    assert "skyreels-v2-df-14b-720p    skywork-license  80 GB as diffusers, 69 GB as original" in text
    rows = json.loads(run_without_torch("models", "--all", "--json").stdout)
    assert len(rows) == 11 and not any(row["here"] for row in rows)
    assert rows[0]["repositories"]["original"] == "Wan-AI/Wan2.1-T2V-1.3B"


def test_a_broken_model_is_listed_and_said(run_without_torch: Run, tmp_path: Path) -> None:
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "model_index.json").write_text("{")
    done = run_without_torch("models", "--home", str(tmp_path))
    assert done.returncode == 1
    assert "not JSON" in done.stdout


def test_the_doctor_looks_at_everything(run: Run) -> None:
    done = run("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    machine = {"python", "torch", "speed", "rates", "memory", "disk", "home", "weights", "sprites", "codecs"}
    door = {"signing", "stamps", "keys", "ledger", "marks", "policy", "screens", "guard"}
    assert set(findings) == machine | door | {"service"}
    assert findings["codecs"]["verdict"] == "ok"
    assert "GFLOP/s" in findings["speed"]["found"]


def test_the_doctor_says_what_to_do(run: Run) -> None:
    done = run("doctor", "--home", "/proc/nothing", HIBARI_DEVICE="cuda:77")
    assert done.returncode == 1
    assert "NO" in done.stdout and "-> " in done.stdout


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "hibari", "--help"], capture_output=True, text=True, check=True)
    assert "hibari generate" in done.stdout
