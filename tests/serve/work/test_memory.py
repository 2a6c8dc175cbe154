"""A maker whose memory is bounded says so of a video that does not fit, and makes the next. About 10 seconds.

The kernel's own killing of processes for memory needs a control group, which an ordinary user cannot make: not tried.
"""

import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hibari.config import Settings
from hibari.serve.asked import Asked
from hibari.serve.work.protocol import Failed, Made, Make, Ready, Step
from hibari.serve.work.workbench import Died, Workbench
from houses import own_home

ROOM = 48 << 20  # bytes beyond what the maker has mapped once it is warm


@pytest.fixture
def bench(home: Path, tmp_path: Path) -> Iterator[Workbench]:
    folder = own_home(home, tmp_path / "home")
    made = Workbench(Settings(home=folder, model="tiny", device="cpu", dtype="float32", threads=1, user="operator"))
    try:
        assert isinstance(made.hear(300), Ready)
        yield made
    finally:
        made.close()


def ask(bench: Workbench, folder: Path, **fields: object) -> Made | Failed | Died:
    folder.mkdir()
    values = {"verb": "create", "prompt": "an octopus drifts", "model": "tiny", "size": "192x128", "seconds": 0.5}
    asked = Asked(**(values | fields))  # type: ignore[arg-type]
    bench.tell(Make(job=folder.name, user="ann", asked=asked.to_dict(), folder=str(folder)))
    while isinstance(heard := bench.hear(300), Step):
        continue
    assert isinstance(heard, Made | Failed | Died), heard
    return heard


@pytest.mark.skipif(sys.platform != "linux", reason="bounds another process")
def test_what_does_not_fit_is_said_at_once_and_the_maker_goes_on(bench: Workbench, tmp_path: Path) -> None:
    assert isinstance(ask(bench, tmp_path / "first"), Made)
    mapped = re.search(r"VmSize:\s+(\d+)", Path(f"/proc/{bench.pid}/status").read_text())
    assert mapped is not None
    before = resource.prlimit(bench.pid, resource.RLIMIT_AS)
    resource.prlimit(bench.pid, resource.RLIMIT_AS, (int(mapped[1]) * 1024 + ROOM, before[1]))
    large = ask(bench, tmp_path / "large", size="1920x1280", seconds=20.0, steps=1)
    assert isinstance(large, Failed) and large.code == "out_of_memory", large
    assert "10 seconds or less" in large.message and os.fspath(tmp_path) not in large.message
    resource.prlimit(bench.pid, resource.RLIMIT_AS, before)
    assert isinstance(ask(bench, tmp_path / "next"), Made)
