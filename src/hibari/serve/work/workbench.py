"""The maker as its worker sees it: a child process that is started, told, heard and, where need be, killed."""

import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from hibari.config import Settings
from hibari.serve.pipes import encode_settings
from hibari.serve.work.protocol import Answer, Holds, Order, decode, encode

GOODBYE_S = 1.0
_COUNTS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))  # of a container, and of the whole machine


@dataclass(frozen=True, kw_only=True)
class Died:
    """The maker is gone; `for_memory` where the operating system killed it for the memory it took."""

    returncode: int
    for_memory: bool


class Workbench:
    """A maker process and the pipes to it. One thread at a time uses it."""

    def __init__(self, settings: Settings) -> None:
        """Start a maker; it says Ready, or NotReady, once it knows."""
        self._kills_before = _memory_kills()
        self._was_killed = False
        self.holds: Holds | None = None  # as it last said
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
                    if isinstance(answer, Holds):
                        self.holds = answer
                    else:
                        self._heard.put(answer)  # type: ignore[arg-type]  # a maker sends answers alone
        returncode = self._process.wait()
        killed = returncode == -signal.SIGKILL and not self._was_killed
        self._heard.put(Died(returncode=returncode, for_memory=killed and _memory_kills() > self._kills_before))


def _memory_kills() -> int:
    """How many processes the operating system has killed for memory, as far as it says so."""
    found = 0
    for path in _COUNTS:
        if path.is_file():
            found += sum(map(int, re.findall(r"(?m)^oom_kill (\d+)$", path.read_text())))
    return found
