"""The maker as its worker sees it: a child process that is started, told, heard and, where need be, killed."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from hibari.config import Settings
from hibari.machine import Holding
from hibari.serve.pipes import encode_settings
from hibari.serve.work.protocol import Answer, Make, Order, decode, encode

GOODBYE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Died:
    """The maker is gone; `for_memory` where the operating system killed it for the memory it took."""

    returncode: int
    for_memory: bool

    @property
    def words(self) -> str:
        """How it ended."""
        if self.returncode >= 0:
            return f"ended with {self.returncode}"
        why = ", by the system, for the memory it took" if self.for_memory else ""
        return f"was killed ({signal.Signals(-self.returncode).name}{why})"

    @property
    def hint(self) -> str:
        """What a person can do about it."""
        if self.returncode >= 0:
            return "The log above says why."
        return "The system does so where memory runs out: see its own log, and `hibari doctor`."


class Workbench:
    """A maker process and the pipes to it. One thread at a time uses it."""

    def __init__(self, settings: Settings, root: Path = Path("/")) -> None:
        """Start a maker; it says Ready, or NotReady, once it knows. What the system counts is read below `root`."""
        self._root = root
        self._kills_before = memory_kills(root)
        self._was_killed = False
        self.holding: Holding | None = None  # as it last said
        self._process = subprocess.Popen(
            # -P: what lies in the folder that a worker was started from is not ours to import.
            [sys.executable, "-P", "-m", "hibari.serve.work.maker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, and the end comes in order
        )
        self._heard: SimpleQueue[Answer | Died] = SimpleQueue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write(encode_settings(settings))

    @property
    def pid(self) -> int:
        """The maker's process number."""
        return self._process.pid

    def tell(self, order: Order) -> None:
        """Send an order. Where the maker is gone, that is heard and not raised."""
        if isinstance(order, Make):
            self._kills_before = memory_kills(self._root)  # what was killed earlier says nothing about this
        self._write(encode(order))

    def hear(self, timeout_s: float) -> Answer | Died | None:
        """The next answer, or Died once there are no more; None where none came in time."""
        try:
            return self._heard.get(timeout=timeout_s)
        except Empty:
            return None

    def kill(self) -> None:
        """End the maker now, in the middle of whatever it does, and give its memory back."""
        self._was_killed = True
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Let the maker end, which it does when its pipe ends, and see to it that it does."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(GOODBYE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def _write(self, line: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            view = memoryview(line)
            while view:
                view = view[pipe.write(view) :]
        except BrokenPipeError:
            return  # the reader hears of it

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with open(pipe.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                if line.endswith(b"\n"):  # a last line that was cut off says nothing
                    answer = decode(line)
                    if isinstance(answer, Holding):
                        self.holding = answer
                    else:
                        self._heard.put(answer)  # type: ignore[arg-type]  # a maker sends answers alone
        returncode = self._process.wait()
        killed = returncode == -signal.SIGKILL and not self._was_killed
        self._heard.put(
            Died(returncode=returncode, for_memory=killed and memory_kills(self._root) > self._kills_before)
        )


def memory_kills(root: Path = Path("/")) -> int:
    """How many processes the system has killed for memory: of our control group, else of the whole machine.

    Both versions of control groups count them (https://docs.kernel.org/admin-guide/cgroup-v2.html), the root group in
    neither. A container may see its own group at the place of the root.
    """
    for path in (*_group_counts(root), root / "proc/vmstat"):
        if path.is_file() and (found := re.search(r"(?m)^oom_kill (\d+)$", path.read_text())) is not None:
            return int(found[1])
    return 0


def _group_counts(root: Path) -> Iterator[Path]:
    """Where the kills of our control group may be counted, the likeliest first."""
    groups, mounted = root / "proc/self/cgroup", root / "sys/fs/cgroup"
    for line in groups.read_text().splitlines() if groups.is_file() else ():
        _, controllers, path = line.split(":", 2)
        own = path.lstrip("/")
        if controllers == "memory":
            yield from (mounted / "memory" / own / "memory.oom_control", mounted / "memory/memory.oom_control")
        elif not controllers:
            yield from (mounted / own / "memory.events", mounted / "memory.events")
