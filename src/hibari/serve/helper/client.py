"""The API's side of a helper. It loads no torch; `process.py` is the child that does the work.

They speak over the child's standard input and output, as `serve/pipes.py` begins it. Nothing is made, stored or
recorded here.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hibari.config import Settings
from hibari.errors import HibariError
from hibari.machine import worked_s
from hibari.serve.helper.said import Moderation, raised
from hibari.serve.journal import request_id
from hibari.serve.pipes import encode_settings

LONGEST_S, STRANGERS_LONGEST_S = 120.0, 45.0  # of work at one request, with the first one's loading of torch and models
WAITED = 4  # so many times as long a request may take in all, on a machine that is busy with other things
_LOOK_EVERY_S = 0.5
MOST_WAITING = 32  # requests; more are turned away, since one process answers them one by one
_CHILD = "hibari.serve.helper.process"


class HelperFailed(HibariError):
    """The helper died, or is closed; a later request may succeed."""


class HelperBusy(HelperFailed):
    """The helper took too long, or has too much to do: nothing is broken, and a later request may succeed."""


class Helper:
    """The API's end. The child starts at the first request, and anew where it died; it answers one request at a time.

    Make it and close it in one process; requests may come from any event loop. `longest_s` bounds the work at one
    request, and four times that the whole of it, since other processes may have the machine; `most_waiting` is how
    many are taken.
    """

    def __init__(self, settings: Settings, *, longest_s: float = LONGEST_S, most_waiting: int = MOST_WAITING) -> None:
        self._settings = settings
        self._longest_s = longest_s
        self._most_waiting = most_waiting
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._waiting = 0
        self._turns = ThreadPoolExecutor(1, thread_name_prefix="helper")

    async def moderate(self, texts: Sequence[str], images: Sequence[Path] = ()) -> list[Moderation]:
        """What each text and then each picture (a file) scores, in that order.

        Raises BadMedia for a picture that cannot be read, Refused where a screen cannot run, HelperFailed.
        """
        answer = await self._ask("moderate", texts=list(texts), images=[str(path) for path in images])
        return [Moderation(**one) for one in answer]

    async def check(self, path: Path) -> dict[str, Any]:
        """Whether a file was made here: `provenance.Answer.as_dict`, without the file's name on this machine.

        Raises BadMedia for a file that cannot be read, and what else the verifier raises; HelperFailed.
        """
        answer: dict[str, Any] = await self._ask("check", path=str(path))
        return answer

    def close(self) -> None:
        """End the child, whatever it is doing, and let nothing start it again."""
        self._closed = True
        if self._child is not None:
            self._child.kill()  # which is also the end of the request that waits for it
        self._turns.shutdown(wait=True, cancel_futures=True)
        self._end_child()

    async def _ask(self, verb: str, **values: Any) -> Any:
        if self._waiting >= self._most_waiting:
            raise HelperBusy("Too many checks are waiting.", hint="Try again in a minute.")
        self._waiting += 1
        values["request_id"] = request_id()  # here, since the thread below knows no request
        try:
            # In a thread of its own, which also keeps the turns: an answer that nobody waits for is read all the same.
            return await asyncio.get_running_loop().run_in_executor(self._turns, self._exchange, verb, values)
        finally:
            self._waiting -= 1

    def _exchange(self, verb: str, values: dict[str, Any]) -> Any:
        """Send one request and read its answer; raises what the child raised, and HelperFailed."""
        child, late, over = self._running_child(), threading.Event(), threading.Event()
        assert child.stdin is not None and child.stdout is not None

        def watch() -> None:
            if not _in_time(child.pid, self._longest_s, over):
                late.set()
                child.kill()

        watcher = threading.Thread(target=watch, name="helper-watch")
        watcher.start()
        try:
            child.stdin.write(json.dumps({"verb": verb, **values}).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            over.set()
            watcher.join()  # so that it never ends a child that has answered
        if not line.endswith(b"\n"):
            self._end_child()
            if late.is_set():
                raise HelperBusy("The machine is busy, and this took too long.", hint="Try again in a minute.")
            raise HelperFailed("The helper process died.", hint="Try again; if this repeats, its log says why.")
        answer = json.loads(line)
        if "error" in answer:
            raise raised(answer["error"])
        return answer["result"]

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise HelperFailed("The helper is closed.", hint="The service is shutting down.")
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end_child()
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C reaches the service alone, which ends the helper
        )
        assert self._child.stdin is not None
        self._child.stdin.write(encode_settings(self._settings))
        self._child.stdin.flush()
        return self._child

    def _end_child(self) -> None:
        """Bury the child, where there is one."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what it was told last, it did not read
                pipe.close()


def _in_time(process: int, seconds: float, over: threading.Event) -> bool:
    """Wait until `over` is set; False where the process has worked so many seconds by then, or taken four times them.

    What it works in a while is its processor time, at most that while: threads beside each other do not count twice.
    """
    began = last = time.monotonic()
    had, worked = worked_s(process), 0.0
    while not over.wait(min(_LOOK_EVERY_S, seconds)):
        now, has = time.monotonic(), worked_s(process)
        worked += now - last if had is None or has is None else min(now - last, has - had)
        if worked >= seconds or now - began >= WAITED * seconds:
            return False
        last, had = now, has
    return True


@dataclass(frozen=True, kw_only=True)
class Helpers:
    """Two, so that what a stranger sent never holds up a user. The strangers' one only checks, and stays small."""

    users: Helper
    strangers: Helper

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Neither has begun: a child starts when it is first asked."""
        return cls(users=Helper(settings), strangers=Helper(settings, longest_s=STRANGERS_LONGEST_S))

    def close(self) -> None:
        """End both."""
        self.users.close()
        self.strangers.close()
