"""The pace of a long list of things, told once. Well under a second."""

import pytest

from hibari.cli.counting import Counter, counted


def test_the_pace_is_told_once_and_not_of_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 50.0, 53.0, 60.0])
    tell = Counter("clip", lambda: next(times))
    for done in (1, 2, 3):
        tell(done, 102)
    assert capsys.readouterr().err == "3.0 s a clip: about 5 minutes to go\n"


def test_one_minute_is_no_plural(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 1.0, 4.0])
    tell = Counter("clip", lambda: next(times))
    for done in (1, 2):
        tell(done, 24)
    assert capsys.readouterr().err == "3.0 s a clip: about 1 minute to go\n"


def test_things_pass_as_they_are_and_short_lists_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(iter("abc"), 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
