"""The fast version by the API: asked for, by default, refused, and what a worker is told of it. About 3 seconds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_house import Api, api, fault
from hibari.generate.plan import make_plan
from hibari.serve.asked import Asked
from hibari.serve.work.maker import request_of_job
from tiny_fast import add_fast, build_teacher

SAID = {"prompt": "a fox turns", "size": "192x128", "seconds": "0.5"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a model that has a fast version."""
    folder = tmp_path_factory.mktemp("home")
    add_fast(build_teacher(folder / "models" / "tiny"))
    return folder


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api(home, tmp_path_factory.mktemp("api"), jobs_at_once=50, requests_a_minute=6000) as opened:
        yield opened


def test_what_is_asked_for_is_what_a_worker_makes(house: Api, home: Path) -> None:
    card = home / "models/tiny/hibari.json"
    before = card.read_text()
    by_default = json.loads(before)
    by_default["fast"]["default"] = True
    for values, asked, fast in ((before, True, True), (before, None, False), (json.dumps(by_default), False, False)):
        card.write_text(values)
        said: dict[str, Any] = SAID | ({"fast": asked} if asked is not None else {})
        video = house.post("/v1/videos", json=said).json()
        job = house.service.queue.find(video["id"])
        request = request_of_job(Asked.from_dict(job.request), home, {})
        for later in (before, json.dumps(by_default)):  # whatever the card says by then
            card.write_text(later)
            plan = make_plan(request, house.service.models.all()["tiny"], 1)
            assert (
                (plan.fast is not None, plan.steps) == (fast, video["num_inference_steps"]) == (fast, 2 if fast else 4)
            )
    card.write_text(before)


def test_it_is_refused_where_it_cannot_be(house: Api) -> None:
    answer = house.post("/v1/videos", json=SAID | {"fast": True, "negative_prompt": "fog"})
    assert "moves away from nothing" in fault(answer, 400, "invalid_value", "negative_prompt")
    fault(house.post("/v1/videos", json=SAID | {"fast": "soon"}), 400, "invalid_type", "fast")
    assert house.get("/v1/models/tiny").json()["fast"] == {"num_inference_steps": 2, "default": False}


def test_a_model_without_one_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    plain = tmp_path_factory.mktemp("plain")
    build_teacher(plain / "models" / "tiny")
    with api(plain, tmp_path_factory.mktemp("api")) as house:
        answer = house.post("/v1/videos", json=SAID | {"fast": True})
        assert "has no fast version" in fault(answer, 400, "invalid_value", "fast")
        assert house.get("/v1/models/tiny").json()["fast"] is None
