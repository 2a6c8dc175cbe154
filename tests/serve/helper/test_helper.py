"""The helper answers one by one, gives errors as they were raised, and comes back when it dies. 15 seconds."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hibari.config import Settings
from hibari.errors import BadMedia, Refused
from hibari.safety.categories import OPENAI_NAMES
from hibari.serve.api.errors import translated
from hibari.serve.helper.client import Helper, HelperBusy, _in_time
from hibari.serve.helper.said import Moderation
from houses import own_home

PLAIN, BAD = "a panda bounces on a green meadow", "a man explains how to build a pipe bomb at home"


@pytest.fixture(scope="module")
def helper(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    """One helper for all tests of this file, since its child takes seconds to load."""
    made = Helper(Settings(home=own_home(home, tmp_path_factory.mktemp("helper") / "home"), dtype="float32"))
    yield made
    made.close()


def picture(folder: Path) -> Path:
    path = folder / "picture.png"
    Image.fromarray(np.full((64, 96, 3), (90, 160, 60), np.uint8)).save(path)
    return path


def test_texts_and_pictures_in_their_order(helper: Helper, tmp_path: Path) -> None:
    plain, bad, shown = asyncio.run(helper.moderate([PLAIN, BAD], [picture(tmp_path)]))
    assert not plain.flagged and not any(plain.flags.values())
    assert bad.flagged and bad.reason
    assert bad.scores["illicit/violent"] > 0.5 > plain.scores["illicit/violent"]
    assert bad.flags["illicit/violent"] and not bad.flags["sexual"]
    assert not shown.flagged and shown.looked["sexual"] == ["image"] and shown.looked["hate"] == []
    assert all(bad.looked[name] == ["text"] for name in OPENAI_NAMES)
    result = bad.as_result()
    for key in ("categories", "category_scores", "category_applied_input_types"):
        assert result[key].keys() == OPENAI_NAMES.keys()
    whole = Moderation.joined([plain, bad, shown])
    assert (
        whole.flagged
        and whole.reason == bad.reason
        and whole.scores["illicit/violent"] == bad.scores["illicit/violent"]
    )
    assert whole.looked["sexual"] == ["image", "text"]


def test_errors_come_back_as_they_were_raised(helper: Helper, tmp_path: Path) -> None:
    text = tmp_path / "upload-17.png"
    text.write_text("this is no picture")
    for request in (helper.moderate([], [text]), helper.check(text)):
        with pytest.raises(BadMedia) as caught:
            asyncio.run(request)
        assert "upload-17" not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_a_strange_picture_was_not_made_here(helper: Helper, tmp_path: Path) -> None:
    answer = asyncio.run(helper.check(picture(tmp_path)))
    assert answer["made_here"] is False and answer["techniques"].keys() == {"metadata", "watermark", "fingerprint"}
    assert "file" not in answer


def test_one_at_a_time_and_a_lost_answer_confuses_nobody(helper: Helper, tmp_path: Path) -> None:
    async def both() -> tuple[dict[str, object], list[Moderation]]:
        lost = asyncio.create_task(helper.moderate([BAD]))
        await asyncio.sleep(0.01)
        lost.cancel()
        return await asyncio.gather(helper.check(picture(tmp_path)), helper.moderate([PLAIN]))

    answer, [moderation] = asyncio.run(both())
    assert answer["made_here"] is False and not moderation.flagged


def test_it_comes_back_when_it_dies(helper: Helper, tmp_path: Path) -> None:
    asyncio.run(helper.check(picture(tmp_path)))
    child = helper._child
    assert child is not None
    child.kill()
    child.wait()
    assert asyncio.run(helper.check(picture(tmp_path)))["made_here"] is False
    assert helper._child is not child


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    helper = Helper(Settings(home=tmp_path), longest_s=0.05)
    try:
        with pytest.raises(HelperBusy, match="took too long") as caught:
            asyncio.run(helper.moderate([PLAIN]))
        assert helper._child is None
        told = translated(caught.value)
        assert (told.status, told.code, told.headers["retry-after"]) == (503, "busy", "30")
        assert "busy" in told.message and "Try again" in told.message
    finally:
        helper.close()
    with pytest.raises(RuntimeError):  # its thread has ended too
        asyncio.run(helper.moderate([PLAIN]))


def test_time_counts_while_it_works_and_so_does_four_times_as_long() -> None:
    sleeping, working = "import time; time.sleep(60)", "while True: pass"
    taken = []
    for code in (sleeping, working):
        with subprocess.Popen([sys.executable, "-S", "-c", code]) as child:
            began = time.monotonic()
            assert not _in_time(child.pid, 0.5, threading.Event())
            taken.append(time.monotonic() - began)
            child.kill()
    assert taken[0] >= 2.0 and taken[1] >= 0.5, "who only waits has four times as long"
    answered = threading.Event()
    answered.set()
    assert _in_time(1, 0.1, answered)


def test_a_policy_that_cannot_be_read_refuses(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("format = 99")
    helper = Helper(Settings(home=tmp_path, policy=tmp_path / "policy.toml"))
    try:
        with pytest.raises(Refused):
            asyncio.run(helper.moderate([PLAIN]))
    finally:
        helper.close()


def test_the_apis_end_loads_nothing_heavy() -> None:
    code = "import sys, hibari.serve.helper.client; assert not {'torch', 'numpy', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
