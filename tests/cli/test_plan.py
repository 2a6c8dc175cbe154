"""`hibari plan`: memory, time and the way that fits, without torch. About 12 s."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_it_says_memory_and_what_to_do_for_the_time(run_without_torch: Run, tmp_path: Path) -> None:
    done = run_without_torch("plan", "--model", "hibari-mini", "--home", str(tmp_path / "h"), "--seconds", "2")
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.startswith("2 s of 576x336 by hibari-mini: rendered at 192x112, 25 frames")
    assert rest[0].startswith("  memory    0.") and " GB (load 0." in rest[0] and "decode 0." in rest[0]
    assert rest[1].split(maxsplit=1) == ["held", "whole, as it is"]
    assert rest[2].split(maxsplit=1) == ["time", "not known yet; `hibari doctor` measures this machine"]


def test_little_memory_changes_the_way_and_less_is_refused(run_without_torch: Run, tmp_path: Path) -> None:
    common = ("plan", "--model", "hibari-mini", "--home", str(tmp_path / "h"), "--json")
    whole = max(json.loads(run_without_torch(*common).stdout)["memory"].values())
    values = json.loads(run_without_torch(*common, "--memory", str(whole / 1e9)).stdout)
    assert values["offload"] == "parts", "a tenth of it is kept free"
    assert max(values["memory"].values()) < whole
    refused = run_without_torch(*common, "--memory", "0.01")
    assert refused.returncode == 2
    assert refused.stderr.startswith("hibari: --memory: 192x112 for 3 s by hibari-mini takes")


def test_a_time_is_told_once_the_machine_was_measured(run_without_torch: Run, tmp_path: Path) -> None:
    values = {
        "device": "cpu", "dtype": "float32", "threads": 1, "linear": 1e11, "attention": 1e11, "convolution": 1e11,
        "reading": 1e9, "memory": 0,
    }  # fmt: skip
    (tmp_path / "calibration.json").write_text(json.dumps(values), encoding="utf-8")
    common = ("plan", "--model", "hibari-mini", "--home", str(tmp_path), "--device", "cpu", "--dtype", "float32")
    assert "time      about" in run_without_torch(*common).stdout
    assert json.loads(run_without_torch(*common, "--json").stdout)["seconds"]["denoise"] > 0


@pytest.mark.parametrize("name", ["wan2.1-t2v-14b", "wan2.1-flf2v-14b-720p", "wan2.2-i2v-a14b"])
def test_a_model_that_is_not_here_is_planned_before_it_is_pulled(
    run_without_torch: Run, tmp_path: Path, name: str
) -> None:
    common = ("plan", "--model", name, "--home", str(tmp_path), "--device", "cpu", "--dtype", "bfloat16")
    said = run_without_torch(*common, "--memory", "90")
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[1].startswith(f"  not here  hibari pull {name} (")
    values = json.loads(run_without_torch(*common, "--memory", "90", "--json").stdout)
    assert values["here"] is False and values["free"] == 90e9
    assert values["peak"] == max(values["memory"].values())
    assert ("encode" in values["memory"]) == ("t2v" not in name), "a start image is encoded as channels"
    assert 28e9 < values["memory"]["load"] < 50e9, "14 billion weights of two bytes, and what reads the prompt"
    refused = run_without_torch(*common, "--memory", "2")
    assert refused.returncode == 2 and f"by {name} takes" in refused.stderr


def test_settings_that_exclude_each_other(run_without_torch: Run, tmp_path: Path) -> None:
    done = run_without_torch("plan", "--home", str(tmp_path), "--storage", "int8", "--offload", "disk")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hibari: --storage: weights that come from the disk come as they are.")
