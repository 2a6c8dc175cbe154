"""The API's routes and every shape of error, asked in process. About 15 seconds, a third of them the tiny model's."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from api_house import Api, api

KEYS = {
    "id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt",
    "remixed_from_video_id", "size", "seconds", "error",
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api(home, tmp_path_factory.mktemp("api"), jobs_at_once=500, seconds_a_day=1e6) as opened:
        yield opened


def picture(width: int = 96, height: int = 64) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def test_a_video_has_its_thirteen_keys_and_ours(shared: Api) -> None:
    made = shared.create(model="sora-2", seconds="0.5", size="192x128", seed=7)
    assert made.keys() >= KEYS
    assert (made["object"], made["status"], made["progress"], made["error"]) == ("video", "queued", 0, None)
    assert (made["model"], made["seconds"], made["size"], made["seed"]) == ("sora-2", "0.5", "192x128", 7)
    found = shared.get(f"/v1/videos/{made['id']}")
    assert found.json()["id"] == made["id"] and int(found.headers["openai-poll-after-ms"]) >= 1000
    assert shared.service.queue.find(made["id"]).model == "tiny"
