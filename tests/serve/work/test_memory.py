"""A maker whose memory is bounded says so of a video that does not fit, and makes the next. About 10 seconds.

The kernel's own killing of processes for memory needs a control group, which an ordinary user cannot make: not tried.
"""

import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hibari.config import Settings
from hibari.serve.asked import Asked
from hibari.serve.work.protocol import Failed, Made, Make, Ready, Step
from hibari.serve.work.workbench import Died, Workbench, memory_kills
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
    assert os.fspath(tmp_path) not in large.message
    resource.prlimit(bench.pid, resource.RLIMIT_AS, before)
    assert isinstance(ask(bench, tmp_path / "next"), Made)


def counted(root: Path, name: str, kills: int) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(f"oom 0\noom_kill {kills}\nunder_oom 0\n")


def test_kills_are_those_of_our_own_control_group(tmp_path: Path) -> None:
    assert memory_kills(tmp_path) == 0, "no word of any"
    counted(tmp_path, "proc/vmstat", 9)
    assert memory_kills(tmp_path) == 9
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/box/ours\n1:cpu:/box\n0::/\n")
    assert memory_kills(tmp_path) == 9, "the group counts nothing"
    counted(tmp_path, "sys/fs/cgroup/memory/box/ours/memory.oom_control", 1)
    assert memory_kills(tmp_path) == 1
    (tmp_path / "proc/self/cgroup").write_text("0::/box/ours\n")
    assert memory_kills(tmp_path) == 9
    counted(tmp_path, "sys/fs/cgroup/memory.events", 2)
    assert memory_kills(tmp_path) == 2, "a container sees its own group as the root"
    counted(tmp_path, "sys/fs/cgroup/box/ours/memory.events", 3)
    assert memory_kills(tmp_path) == 3


@pytest.mark.parametrize("is_ours", [False, True])
def test_a_kill_for_memory_is_one_that_came_with_the_order(tmp_path: Path, is_ours: bool) -> None:
    counted(tmp_path, "proc/vmstat", 0)
    bench = Workbench(Settings(home=tmp_path / "home", model="tiny"), root=tmp_path)
    try:
        counted(tmp_path, "proc/vmstat", 1)  # of somebody else, before there was an order
        bench.tell(Make(job="video_1", user="ann", asked={}, folder=str(tmp_path)))
        counted(tmp_path, "proc/vmstat", 2 if is_ours else 1)
        os.kill(bench.pid, signal.SIGKILL)
        died = bench.hear(60)
        assert isinstance(died, Died) and died.for_memory == is_ours
    finally:
        bench.close()
