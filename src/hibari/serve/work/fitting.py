"""What may fit where memory ran out: one answer, whoever noticed it, the maker or the operating system.

The work of one denoising step stands for the memory that a video takes, since both grow with its tokens and its pixels.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from hibari.config import Settings
from hibari.errors import HibariError
from hibari.produce.job import check
from hibari.request import GenerationRequest, Size
from hibari.serve.asked import Asked
from hibari.serve.effort import work

TOO_LARGE = "There was not enough memory for this video."
_PARTS = 16  # of its seconds, which are tried from the most to the least


@dataclass(kw_only=True)
class Fitting:
    """One worker's knowledge: for each model, the most work a step of what it has finished."""

    settings: Settings
    _largest: dict[str, float] = field(default_factory=dict)

    def finished(self, asked: Asked) -> None:
        """Note what did fit, where it can still be told what it was."""
        with suppress(HibariError):
            self._largest[asked.model] = max(self._largest.get(asked.model, 0.0), self._units(asked))

    def advice(self, asked: Asked) -> str:
        """What to say of a video that did not fit: fewer seconds, or a smaller size, computed.

        It is to be no more than what this worker has finished, or half of what was asked for where that is not known.
        """
        try:
            asked_for = self._units(asked)
            known = self._largest.get(asked.model, asked_for)
            room = known if known < asked_for else asked_for / 2
            ways = list(chain(self._shorter(asked, room), self._smaller(asked, room)))
        except HibariError:  # its model is another by now, or gone
            return TOO_LARGE
        if not ways:
            return f"{TOO_LARGE} This model makes nothing that is much smaller."
        return f"{TOO_LARGE} What may fit: {', or '.join(ways)}."

    def _shorter(self, asked: Asked, room: float) -> list[str]:
        quarters = {int(4 * asked.seconds * part / _PARTS) for part in range(1, _PARTS)} - {0}
        for seconds in (quarter / 4 for quarter in sorted(quarters, reverse=True)):
            if self._units(asked, seconds=seconds) <= room:
                return [f"{seconds:g} seconds or less"]
        return []

    def _smaller(self, asked: Asked, room: float) -> list[str]:
        card = check(_request(asked), self.settings)[0].card
        for size in sorted(card.sizes, key=_pixels, reverse=True):
            if self._units(asked, size=size) <= room:
                return [f"size {size}"]
        return []

    def _units(self, asked: Asked, *, seconds: float | None = None, size: Size | None = None) -> float:
        """The work of one step; raises what is wrong with such a request by now."""
        return work(*check(_request(asked, seconds=seconds, size=size), self.settings))


def _request(asked: Asked, *, seconds: float | None = None, size: Size | None = None) -> GenerationRequest:
    return GenerationRequest(
        prompt=asked.prompt,
        model=asked.model,
        size=size or asked.size,  # type: ignore[arg-type]  # "WxH" is read there
        seconds=asked.seconds if seconds is None else seconds,
        fps=asked.fps,
        steps=1,
        guidance=1,
    )


def _pixels(size: Size) -> int:
    return size.width * size.height
