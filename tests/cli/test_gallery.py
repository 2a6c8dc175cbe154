"""`hibari gallery` on the tiny random model. About 20 seconds, most of them imports."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_gallery_makes_a_picture(run: Run, tmp_path: Path) -> None:
    done = run("gallery", "--model", "tiny", "--seeds", "1", "-o", "sheet.png")
    assert done.returncode == 0 and done.stdout == "sheet.png\n", done.stderr
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.format == "PNG" and sheet.height > 1000
    assert "signed · watermarked · recorded as hbr_" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "0"], "--seeds"),
        (["-o", "sheet.mp4"], "-o: a sheet is a picture"),
        (["--model", "nobody"], "nobody"),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: list[str], says: str) -> None:
    done = run("gallery", *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
