"""An upload goes with a job that was refused, and stays where a job may stand that nobody heard of. 5 seconds."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api_house import Api, api
from hibari.store import StoreError
from hibari.store.queue import Job, Queue


def ask(house: Api, tmp_path: Path) -> int:
    Image.new("RGB", (96, 64), "teal").save(tmp_path / "a.png")
    picture = ("a.png", (tmp_path / "a.png").read_bytes())
    sent = {"prompt": (None, "a fox"), "consent": (None, "nobody"), "input_reference": picture}
    return house.post("/v1/videos", files=sent).status_code


def blobs(house: Api) -> set[str]:
    return {name for name, _ in house.service.blobs.names()}


def test_an_upload_stays_with_the_job_that_names_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[Job] = []
    whole = Queue.add

    def add(self: Queue, *given: Any, **more: Any) -> Job:
        added.append(whole(self, *given, **more))
        raise StoreError("the connection broke after the commit.")

    with api(home, tmp_path, jobs_at_once=1) as house:
        monkeypatch.setattr(Queue, "add", add)
        assert ask(house, tmp_path) >= 500
        monkeypatch.undo()
        assert blobs(house) == set(added[0].files.values()) and len(added[0].files) == 1
        assert ask(house, tmp_path) == 429, "one at once"
        assert blobs(house) == set(added[0].files.values()), "the second job's is gone"
