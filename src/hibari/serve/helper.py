"""The helper: one child process for what needs torch beside generation, which is moderation and provenance checks.

`Helper` is the API's end, and loads no torch; `python -m hibari.serve.helper` is the child. They speak JSON, one
message a line, over the child's standard input and output; the first line is the settings, so that no secret in them
stands on a command line. Nothing is made, stored or recorded here.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hibari import errors
from hibari.config import Settings
from hibari.errors import HibariError
from hibari.safety.categories import OPENAI_NAMES, openai_scores
from hibari.safety.policy import Policy, Verdict
from hibari.serve.pipes import decode_settings, encode_settings, own_stdout

if TYPE_CHECKING:  # for the child alone: none of it has to be in the API's memory
    from hibari.safety.frames import FrameScreen
    from hibari.safety.prompts import PromptScreen

LONGEST_S = 120.0  # of one request, with the first one's loading of torch and models
MOST_WAITING = 32  # requests; more are turned away, since one process answers them one by one
TEXT, IMAGE = "text", "image"


class HelperFailed(HibariError):
    """The helper died, took too long, or has too much to do; a later request may succeed."""


@dataclass(frozen=True, kw_only=True)
class Moderation:
    """What a text, a picture, or a message of several of them scored.

    `scores`, `flags` and `looked` are by OpenAI's thirteen names: 0 to 1, whether the policy would not let it pass, and
    the kinds of input ("text", "image") that were looked at for it. `flagged` is the policy's answer on the whole,
    which knows more categories than the thirteen: `own` are the scores of ours, and `reason` is in words.
    """

    flagged: bool
    flags: dict[str, bool]
    scores: dict[str, float]
    looked: dict[str, list[str]]
    own: dict[str, float]
    reason: str

    def as_result(self) -> dict[str, Any]:
        """One of `results` in the answer of /v1/moderations, with `hibari` beside OpenAI's keys."""
        return {
            "flagged": self.flagged,
            "categories": self.flags,
            "category_scores": self.scores,
            "category_applied_input_types": self.looked,
            "hibari": {"categories": self.own, "reason": self.reason},
        }

    @classmethod
    def of(cls, verdict: Verdict, policy: Policy, surface: str, kind: str) -> Self:
        """A verdict in OpenAI's names."""
        scores = openai_scores(verdict.categories)
        stopped = {
            category
            for category, score in verdict.categories.items()
            if (limits := policy.limits.get((surface, category, "adult"))) and limits.action(score) != "allow"
        }
        # A text is read for all of them; of a picture, the models know a few.
        known = {name for name, ids in OPENAI_NAMES.items() if kind == TEXT or set(ids) & verdict.categories.keys()}
        return cls(
            flagged=not verdict.allowed,
            flags={name: not stopped.isdisjoint(ids) for name, ids in OPENAI_NAMES.items()},
            scores={name: round(score, 6) for name, score in scores.items()},
            looked={name: [kind] if name in known else [] for name in OPENAI_NAMES},
            own={category: round(score, 6) for category, score in verdict.categories.items()},
            reason=verdict.reason,
        )

    @classmethod
    def joined(cls, parts: "Sequence[Moderation]") -> Self:
        """The moderation of a message that has several parts: the worst of each."""
        assert parts, "a message has a part"
        own: dict[str, float] = {}
        for part in parts:
            own |= {category: max(score, own.get(category, 0.0)) for category, score in part.own.items()}
        flagged = [part for part in parts if part.flagged]
        return cls(
            flagged=bool(flagged),
            flags={name: any(part.flags[name] for part in parts) for name in OPENAI_NAMES},
            scores={name: max(part.scores[name] for part in parts) for name in OPENAI_NAMES},
            looked={name: sorted({kind for part in parts for kind in part.looked[name]}) for name in OPENAI_NAMES},
            own=own,
            reason=(flagged or parts)[0].reason,
        )


class Helper:
    """The API's end. The child starts at the first request, and anew where it died; it answers one request at a time.

    Make it and close it in one process; requests may come from any event loop.
    """

    def __init__(self, settings: Settings, *, longest_s: float = LONGEST_S) -> None:
        self._settings = settings
        self._longest_s = longest_s
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
        if self._waiting >= MOST_WAITING:
            raise HelperFailed("Too many checks are waiting.", hint="Try again in a minute.")
        self._waiting += 1
        try:
            # In a thread of its own, which also keeps the turns: an answer that nobody waits for is read all the same.
            return await asyncio.get_running_loop().run_in_executor(self._turns, self._exchange, verb, values)
        finally:
            self._waiting -= 1

    def _exchange(self, verb: str, values: dict[str, Any]) -> Any:
        """Send one request and read its answer; raises what the child raised, and HelperFailed."""
        child, late = self._running_child(), threading.Event()
        assert child.stdin is not None and child.stdout is not None

        def stop() -> None:
            late.set()
            child.kill()

        alarm = threading.Timer(self._longest_s, stop)
        alarm.start()
        try:
            child.stdin.write(json.dumps({"verb": verb, **values}).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            alarm.cancel()
        if not line.endswith(b"\n"):
            self._end_child()
            why = "took too long" if late.is_set() else "died"
            raise HelperFailed(f"The helper process {why}.", hint="Try again; if this repeats, its log says why.")
        answer = json.loads(line)
        if "error" in answer:
            raise _raised(answer["error"])
        return answer["result"]

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise HelperFailed("The helper is closed.", hint="The service is shutting down.")
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end_child()
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", __spec__.name],
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


def _raised(error: dict[str, str]) -> HibariError:
    """The child's error, as it was raised there."""
    kind = getattr(errors, error["kind"])
    assert issubclass(kind, HibariError), kind
    raised: HibariError = kind(error["message"], option=error["option"], hint=error["hint"])
    return raised


def _told(error: HibariError, paths: Iterable[str]) -> dict[str, str]:
    """An error for the other side: the nearest class of the tree, without the names of files on this machine."""
    kind = next(one.__name__ for one in type(error).__mro__ if getattr(errors, one.__name__, None) is one)
    message = error.message
    for path in paths:
        message = message.replace(path, "The file").replace(Path(path).name, "The file")
    return {"kind": kind, "message": message, "option": error.option, "hint": error.hint}


class Checks:
    """The child's work. Screens are loaded when they are first asked, and stay; the policy is read once."""

    def __init__(self, settings: Settings) -> None:
        """Read the policy; raises Refused."""
        self._settings = settings
        self._policy = Policy.load(settings.policy)

    def moderate(self, texts: Sequence[str], images: Sequence[str]) -> list[dict[str, Any]]:
        """See `Helper.moderate`."""
        from hibari.media.decode import read_image

        made = [Moderation.of(self._prompts.screen(text), self._policy, "prompt", TEXT) for text in texts]
        for path in images:
            picture = read_image(Path(path))
            verdict = self._frames.screen(picture[None], surface="uploads")
            made.append(Moderation.of(verdict, self._policy, "uploads", IMAGE))
        return [asdict(one) for one in made]

    def check(self, path: str) -> dict[str, Any]:
        """See `Helper.check`. The verifier is opened anew each time, since keys and records are added all the while."""
        from hibari.provenance.verify import Verifier

        with Verifier.open(self._settings) as verifier:
            answer = verifier.verify(Path(path)).as_dict()
        del answer["file"]
        return answer

    @cached_property
    def _prompts(self) -> "PromptScreen":
        from hibari.produce.screens import prompt_screen

        return prompt_screen(self._policy, self._settings)

    @cached_property
    def _frames(self) -> "FrameScreen":
        from hibari.provenance.places import SAFETY
        from hibari.safety.frames import FrameScreen

        return FrameScreen.load(self._policy, self._settings.home / SAFETY)


def main() -> None:
    """Answer requests until the API is gone; a fault that is no error of Hibari's ends the process."""

    pipe = own_stdout()
    settings = decode_settings(sys.stdin.buffer.readline())
    checks: Checks | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        verb = request.pop("verb")
        paths = [*request.get("images", []), *([request["path"]] if "path" in request else [])]
        try:
            checks = checks or Checks(settings)
            answer = {"result": checks.check(**request) if verb == "check" else checks.moderate(**request)}
        except HibariError as error:
            answer = {"error": _told(error, paths)}
        pipe.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
