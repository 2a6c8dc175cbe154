"""A worker that holds two models, shows what it makes, and says what it holds. About 15 seconds."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from api_house import Api, fault
from hibari.config import ServiceSettings, Settings
from hibari.serve.files import PREVIEW, blob_of
from hibari.serve.work.worker import work
from hibari.store import workers
from houses import holding

PATIENCE_S = 300.0
LONG = {"seconds": 8.0, "num_inference_steps": 400}


def home_of_two(home: Path, folder: Path) -> Path:
    """A data folder with the tiny model under two names."""
    for name in ("tiny", "twin"):
        copy = folder / "models" / name
        copy.mkdir(parents=True)
        for each in (home / "models" / "tiny").iterdir():
            (copy / each.name).symlink_to(each)
    card = folder / "models" / "twin" / "hibari.json"
    said = json.loads(card.read_text()) | {"name": "twin"}
    card.unlink()
    card.write_text(json.dumps(said))
    folder.chmod(0o700)
    return folder


class Shop:
    """An API and a worker of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self.api = Api(settings)
        self.stop = Event()
        self._worker = Thread(target=lambda: work(settings, stop=self.stop))
        self._worker.start()

    def wait(self, id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while not until(found := self.api.get(f"/v1/videos/{id}").json()):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def end_of(self, id: str) -> dict[str, Any]:
        return self.wait(id, lambda now: now["status"] in ("completed", "failed"))

    def close(self) -> None:
        self.stop.set()
        self._worker.join(PATIENCE_S)
        assert not self._worker.is_alive()
        self.api.close()


@pytest.fixture(scope="module")
def shop(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    own = ServiceSettings(models_held=2, previews="on", jobs_at_once=100)
    folder = home_of_two(home, tmp_path_factory.mktemp("two") / "home")
    opened = Shop(Settings(home=folder, model="tiny", device="cpu", dtype="float32", service=own))
    try:
        yield opened
    finally:
        opened.close()


def held(shop: Shop) -> tuple[str, ...]:
    (here,) = workers.present(shop.api.service.store, timedelta(minutes=1))
    assert here.holding.device == "cpu" and here.holding.device_bytes is None
    assert here.holding.memory_bytes > 100 << 20
    return here.holding.models


def test_a_worker_loads_what_is_asked_for_and_says_so(shop: Shop) -> None:
    short = {"seconds": 0.5, "size": "192x128"}
    for name in ("tiny", "twin", "tiny"):
        assert shop.end_of(shop.api.create(model=name, **short)["id"])["status"] == "completed"
    deadline = time.monotonic() + 60
    while held(shop) != ("twin", "tiny"):  # the last used last
        assert time.monotonic() < deadline, held(shop)
        time.sleep(0.2)


def test_a_preview_is_there_while_a_video_is_made_and_for_nobody_else(shop: Shop) -> None:
    id = shop.api.create(model="tiny", size="192x128", **LONG)["id"]
    asked = f"/v1/videos/{id}/content?variant=preview"
    fault(shop.api.get(asked, "bob"), 404, "not_found", "video_id")
    deadline = time.monotonic() + PATIENCE_S
    while (answer := shop.api.get(asked)).status_code == 404:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["cache-control"] == "no-store"
    (shop.api.service.settings.home / "seen.webp").write_bytes(answer.content)
    with Image.open(shop.api.service.settings.home / "seen.webp") as picture:
        assert np.asarray(picture).shape == (128, 192, 3)
    job = shop.api.service.queue.find(id)
    assert job is not None and job.lease is not None
    assert shop.api.ask("DELETE", f"/v1/videos/{id}").status_code == 200
    while shop.api.service.blobs.size(blob_of(job, PREVIEW)) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_worker_is_not_there_any_more_once_it_has_stopped(home: Path, tmp_path: Path) -> None:
    """And with a policy that holds every frame, nothing of what it makes is shown."""
    folder = home_of_two(home, tmp_path / "home")
    own = ServiceSettings(previews="on")
    strict = Settings(home=folder, model="tiny", device="cpu", dtype="float32", service=own, policy=holding(tmp_path))
    shop = Shop(strict)
    try:
        id = shop.api.create(model="tiny", size="192x128", **LONG)["id"]
        shop.wait(id, lambda now: now["progress"] > 5)
        time.sleep(4.0)  # more than there is between two previews
        fault(shop.api.get(f"/v1/videos/{id}/content?variant=preview"), 404, "not_found", "variant")
        assert shop.api.get(f"/v1/videos/{id}").json()["status"] == "in_progress"
        shop.api.ask("DELETE", f"/v1/videos/{id}")
        shop.stop.set()
        shop._worker.join(PATIENCE_S)
        assert workers.present(shop.api.service.store, timedelta(minutes=1)) == []
    finally:
        shop.close()
