"""What a worker and its maker say arrives as it was said. Under a second."""

from dataclasses import replace
from pathlib import Path

import pytest

from hibari.config import ServiceSettings, Settings
from hibari.serve.protocol import (
    Answer,
    Cancel,
    Failed,
    Made,
    Make,
    NotReady,
    Order,
    Ready,
    Step,
    Stopped,
    decode,
    decode_settings,
    encode,
    encode_settings,
)

MESSAGES: list[Order | Answer] = [
    Make(job="video_1", user="ann", asked={"prompt": "zwei\nZeilen"}, folder="f", inputs={"a/b.png": "in-0.png"}),
    Cancel(job="video_1"),
    Ready(),
    NotReady(message="no key"),
    Step(job="video_1", stage="denoise", done=1, total=4),
    Made(job="video_1", generation_id=2**48 - 1, files={"video": "video.mp4"}),
    Failed(job="video_1", code="invalid_value", message="größer"),
    Stopped(job="video_1"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_one_line_and_comes_back(message: Order | Answer) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line) == message


def test_settings_come_back_whole(tmp_path: Path) -> None:
    plain = Settings(home=tmp_path)
    full = replace(
        plain,
        policy=tmp_path / "policy.toml",
        database="postgresql://a:b@h/n",
        threads=3,
        service=ServiceSettings(files="s3://bucket/prefix", keep_hours=0.5, jobs_at_once=2),
    )
    for settings in (plain, full):
        assert decode_settings(encode_settings(settings)) == settings
