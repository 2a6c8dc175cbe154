"""The helper's child process: it moderates and checks where files come from, one request after the other."""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari.config import Settings
from hibari.errors import HibariError
from hibari.safety.policy import Policy
from hibari.serve.helper.said import IMAGE, TEXT, Moderation, told
from hibari.serve.journal import REQUEST_ID, about, write_childs_journal
from hibari.serve.pipes import decode_settings, own_stdout

if TYPE_CHECKING:  # what was not asked for does not have to be in memory
    from hibari.safety.frames import FrameScreen
    from hibari.safety.prompts import PromptScreen

_LOG = logging.getLogger(__name__)


class Checks:
    """The child's work. Screens are loaded when they are first asked, and stay; the policy is read once."""

    def __init__(self, settings: Settings) -> None:
        """Read the policy; raises Refused."""
        self._settings = settings
        self._policy = Policy.load(settings.policy)

    def moderate(self, texts: Sequence[str], images: Sequence[str]) -> list[dict[str, Any]]:
        """See `client.Helper.moderate`."""
        from hibari.media.decode import read_image

        made = [Moderation.of(self._prompts.screen(text), self._policy, "prompt", TEXT) for text in texts]
        for path in images:
            picture = read_image(Path(path))
            verdict = self._frames.screen(picture[None], surface="uploads")
            made.append(Moderation.of(verdict, self._policy, "uploads", IMAGE))
        return [asdict(one) for one in made]

    def check(self, path: str) -> dict[str, Any]:
        """See `client.Helper.check`. The verifier is opened anew each time, since keys and records are added."""
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
    write_childs_journal(settings.service.log)
    checks: Checks | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        verb, asked_by = request.pop("verb"), request.pop(REQUEST_ID)
        paths = [*request.get("images", []), *([request["path"]] if "path" in request else [])]
        with about(request_id=asked_by):
            try:
                checks = checks or Checks(settings)
                answer = {"result": checks.check(**request) if verb == "check" else checks.moderate(**request)}
            except HibariError as error:
                answer = {"error": told(error, paths)}
            _LOG.info("%s answered", verb)
        pipe.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
