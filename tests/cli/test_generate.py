"""`hibari generate` as a person meets it: a subprocess, its two streams and its exit code. About 20 seconds."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_video_is_made_and_its_path_is_all_on_standard_output(run: Run, tmp_path: Path) -> None:
    done = run("generate", "a purple dragon", "-o", "a.mp4", "--seed", "3")
    assert (done.returncode, done.stdout) == (0, "a.mp4\n"), done.stderr
    advice, closing, recorded = done.stderr.splitlines()
    assert "It knows octopus, fox" in advice
    assert closing.startswith("0.75 s of 192x128 at 12 fps by tiny (7), seed 3, in ")
    assert re.fullmatch(r"signed · watermarked · recorded as hbr_[0-9a-z]{10}", recorded)
    assert os.listdir(tmp_path / "out") == ["a.mp4"]


def test_takes_are_numbered_and_records_are_json(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "orange").save(tmp_path / "start.png")
    done = run("generate", "a fox", "-n", "2", "-o", "a.mp4", "--json", "--seed", "7", "--image", "../start.png")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(record["path"], record["seed"]) for record in records] == [("a-1.mp4", 7), ("a-2.mp4", 8)]
    assert sorted(os.listdir(tmp_path / "out")) == ["a-1.mp4", "a-2.mp4"]


def test_a_file_of_requests(run: Run, tmp_path: Path) -> None:
    lines = [{"prompt": "a fox", "output": "fox.png"}, {"prompt": "an octopus", "seconds": 0, "seed": 2}]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    done = run("generate", "--from", "../many.jsonl", "--steps", "1")
    assert (done.returncode, done.stdout) == (0, "fox.png\nan-octopus-2.png\n"), done.stderr


def test_what_there_is_to_say_comes_after_the_screens(run: Run) -> None:
    refused = run("generate", "a hostage is beheaded on camera", "--size", "480x320", "-o", "a.mp4")
    assert (
        refused.returncode == 2
        and refused.stderr.startswith("hibari: PROMPT: Refused")
        and "\n" not in refused.stderr[:-1]
    )
    made = run("generate", "a fox", "--size", "480x320", "--seconds", "0", "--steps", "1", "-o", "a.png")
    assert made.returncode == 0 and made.stderr.count("enlarged to 480x320") == 1


def test_what_is_refused_does_not_stop_the_rest(run: Run, tmp_path: Path) -> None:
    lines = [{"prompt": "a hostage is beheaded on camera"}, {"prompt": "an octopus", "output": "b.png"}]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = run("generate", "--from", "../many.jsonl", "--steps", "1")
    assert (done.returncode, done.stdout) == (2, "b.png\n"), done.stderr
    assert "hibari: PROMPT: 1 of 2: Refused for violent crime" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_nothing(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Stopped while frames are written: a long clip of few steps, delivered large and often."""
    long = ["--seconds", "20", "--fps", "60", "--size", "1200x800", "--steps", "1"]
    command = [sys.executable, "-m", "hibari", "generate", "a fox", *long, "-o", "a.mp4"]
    # A background job of a shell ignores Ctrl-C, and so would its children.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen(
        command,
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,  # noqa: PLW1509 (it only sets a signal)
    )
    deadline = time.monotonic() + 90
    unsigned = Path(environment["HIBARI_HOME"]) / "unsigned"
    while not any(path.stat().st_size for path in unsigned.glob(".*.part")):
        assert child.poll() is None and time.monotonic() < deadline, "it ended before it could be stopped"
        time.sleep(0.05)
    child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == code
    assert os.listdir(tmp_path) == [] == list(unsigned.iterdir())
    if number == signal.SIGINT:
        assert errors.splitlines()[-1] == "hibari: interrupted; nothing half-written is left."


def test_a_full_disk(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    """A limit on file sizes stands for the full disk: both refuse the write that goes too far."""
    assert run("generate", "a fox", "-o", "first.png").returncode == 0, "the ledger's tables are there"
    command = f"ulimit -f 64; exec {sys.executable} -m hibari generate 'a fox' --size 600x400 --seconds 2 -o a.mp4"
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment,
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith("hibari: -o: it was made, and could not be finished: a.mp4: no room left on the disk.")
    assert "hibari generate --latents" in said
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path / "out") == ["first.png"]
