"""What is said of a video that memory does not hold is computed, from its plan and what did fit. About a second."""

import re
from pathlib import Path

from hibari.config import Settings
from hibari.produce.job import check
from hibari.request import GenerationRequest
from hibari.serve.asked import Asked
from hibari.serve.effort import work
from hibari.serve.work.fitting import TOO_LARGE, Fitting


def asked(**fields: object) -> Asked:
    values = {"verb": "create", "prompt": "a fox", "model": "tiny", "size": "1920x1280", "seconds": 16.0, "steps": 40}
    return Asked(**(values | fields))  # type: ignore[arg-type]


def units(settings: Settings, size: str, seconds: float) -> float:
    wish = GenerationRequest(prompt="a fox", model="tiny", size=size, seconds=seconds, steps=1, guidance=1)  # type: ignore[arg-type]
    return work(*check(wish, settings))


def seconds_in(advice: str) -> float:
    found = re.search(r"([0-9.]+) seconds or less", advice)
    assert found is not None, advice
    return float(found[1])


def test_half_the_work_is_proposed_where_nothing_is_known(home: Path) -> None:
    settings = Settings(home=home)
    advice = Fitting(settings=settings).advice(asked())
    proposed, whole = units(settings, "1920x1280", seconds_in(advice)), units(settings, "1920x1280", 16)
    assert 0.35 * whole < proposed <= 0.5 * whole
    assert advice.startswith(TOO_LARGE) and advice.endswith("or size 96x64.")


def test_no_more_is_proposed_than_was_finished(home: Path) -> None:
    settings = Settings(home=home)
    fitting = Fitting(settings=settings)
    fitting.finished(asked(seconds=4.0))
    fitting.finished(asked(seconds=1.0))
    assert seconds_in(fitting.advice(asked())) == 4
    again = fitting.advice(asked(seconds=4.0, steps=2))
    assert seconds_in(again) < 4, "it did fit once and does not now"


def test_of_the_smallest_there_is_nothing_to_propose(home: Path) -> None:
    fitting = Fitting(settings=Settings(home=home))
    picture = asked(verb="image", size="96x64", seconds=0.0)
    assert fitting.advice(picture) == f"{TOO_LARGE} This model makes nothing that is much smaller."
    assert fitting.advice(asked(model="gone")) == TOO_LARGE
