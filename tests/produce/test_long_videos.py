"""Videos in windows through the whole door: progress over all of them, replay, extension; a minute in flat memory.

About 20 seconds; the minute, which is slow, another 40.
"""

from pathlib import Path

import pytest

from clips import clip_house
from hibari.machine import resident_bytes
from hibari.produce import Hibari
from hibari.produce.progress import Progress
from hibari.request import GenerationRequest
from tiny_wan import build_tiny_wan

STEPS, WINDOW, HISTORY = 2, 5, 2


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    house = clip_house(home, tmp_path_factory.mktemp("long"))
    rolling = {"window": WINDOW, "history": HISTORY}
    folder = house.settings.home / "models" / "long"
    build_tiny_wan(folder, "skyreels df", steps=STEPS, upscale=2, max_seconds=60.0, rolling=rolling)
    return house


def ask(seconds: float, **fields: object) -> GenerationRequest:
    return GenerationRequest(prompt="a red ball", model="long", seed=4, seconds=seconds, **fields)  # type: ignore[arg-type]


def test_a_video_in_windows_is_told_recorded_and_replayed(maker: Hibari, tmp_path: Path) -> None:
    told: list[Progress] = []
    record = maker.generate(ask(5), output=tmp_path / "a.mp4", on_progress=told.append)
    steps = [(each.done, each.total) for each in told if each.stage == "denoise"]
    windows = 1 + -(-(11 - WINDOW) // (WINDOW - HISTORY))
    assert steps == [(done, windows * STEPS) for done in range(windows * STEPS + 1)]
    assert f"made in {windows} windows" in record.as_dict()["notes"][-1]
    assert record.plan.frames == 40
    assert maker.replay(record.id, output=tmp_path / "b.mp4").same


def test_a_long_video_is_extended(maker: Hibari, tmp_path: Path) -> None:
    maker.generate(ask(2), output=tmp_path / "a.mp4")
    record = maker.generate(ask(4, video=tmp_path / "a.mp4", extend=True), output=tmp_path / "b.mp4")
    assert record.plan.windows and record.plan.windows[0].known > 1
    assert record.plan.seconds == 6


@pytest.mark.slow
def test_a_minute_takes_no_more_memory_than_seconds(maker: Hibari, tmp_path: Path) -> None:
    def most_bytes(seconds: float) -> int:
        held: list[int] = []
        record = maker.generate(
            ask(seconds), output=tmp_path / f"{seconds}.mp4", on_progress=lambda _: held.append(resident_bytes())
        )
        assert record.plan.seconds == seconds and len(record.plan.windows) == 1 + -(-(seconds * 2 + 1 - WINDOW) // 3)
        return max(held)

    short, minute = most_bytes(15), most_bytes(60)
    assert minute - short < 40e6, f"{(minute - short) / 1e6:.0f} MB more"
