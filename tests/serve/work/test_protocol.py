"""What a worker and its maker say arrives as it was said. Under a second."""

import pytest

from hibari.machine import Holding
from hibari.serve.work.protocol import (
    Answer,
    Cancel,
    Failed,
    Made,
    Make,
    NotReady,
    Order,
    Ready,
    Shown,
    Step,
    Stopped,
    decode,
    encode,
)

MESSAGES: list[Order | Answer] = [
    Make(job="video_1", user="ann", asked={"prompt": "zwei\nZeilen"}, folder="f", inputs={"a/b.png": "in-0.png"}),
    Cancel(job="video_1"),
    Ready(),
    NotReady(message="no key"),
    Holding(device="cuda:0", models=("mini", "other"), memory_bytes=1 << 33, device_bytes=None),
    Shown(job="video_1", name=None),
    Step(job="video_1", stage="denoise", done=1, total=4),
    Made(job="video_1", generation_id=2**48 - 1, files={"video": "video.mp4"}),
    Failed(job="video_1", code="invalid_value", message="größer"),
    Failed(job="video_1", code="moderation_blocked", message="no", category="sexual_content"),
    Stopped(job="video_1"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_one_line_and_comes_back(message: Order | Answer) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line) == message
