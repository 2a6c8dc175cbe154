"""A maker that is killed while it loads is started anew, a few times. About 15 seconds, most of them torch's."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from hibari.config import Settings
from hibari.errors import HibariError
from hibari.serve.work.claimer import STARTS, Claimer
from hibari.serve.work.errand import Pace
from hibari.serve.work.workbench import Workbench
from houses import own_home

FAST = Pace(idle_s=0.1, retry_s=0.01)


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    return Settings(home=own_home(home, tmp_path / "home"), model="tiny", device="cpu", dtype="float32")


@contextmanager
def every_maker_killed() -> Iterator[None]:
    """Kill each maker of this process as soon as it is seen."""
    over = Event()

    def kill() -> None:
        while not over.wait(0.02):
            for task in Path("/proc/self/task").iterdir():
                # Threads and processes may be gone before they are looked at, or while they are.
                with suppress(FileNotFoundError, ProcessLookupError):
                    for child in (task / "children").read_text().split():
                        if b"hibari.serve.work.maker" in Path("/proc", child, "cmdline").read_bytes():
                            os.kill(int(child), signal.SIGKILL)

    thread = Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_one_that_is_killed_while_it_loads_is_started_anew(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop, bench = Event(), Workbench(settings)
    os.kill(bench.pid, signal.SIGKILL)
    with caplog.at_level(logging.INFO, "hibari"):
        Claimer(settings, bench, tmp_path, FAST).run(stop, ["tiny"], stop.set)
    said = [record.getMessage() for record in caplog.records]
    assert "the maker was killed (SIGKILL) while it started; another is started" in said
    assert any(line.startswith("connected to ") and "for jobs of tiny" in line for line in said)
    assert "ready on cpu, and waits for jobs" in said


def test_one_that_is_killed_each_time_is_given_up(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop = Event()  # one that gets ready after all ends this, instead of waiting for jobs
    with every_maker_killed(), pytest.raises(HibariError, match="SIGKILL") as caught:
        Claimer(settings, Workbench(settings), tmp_path, FAST).run(stop, ["tiny"], stop.set)
    assert "log above" not in str(caught.value)
    assert sum("another is started" in record.getMessage() for record in caplog.records) == STARTS - 1
