"""An end image from the wire to the request that a maker gets. About 12 seconds, most of them the tiny models'."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from api_house import Api, api, fault
from hibari.serve.asked import Asked
from hibari.serve.work.errand import blobs_of
from hibari.serve.work.keeping import started_from
from hibari.serve.work.maker import request_of_job
from tiny_wan import build_tiny_wan


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    models = tmp_path_factory.mktemp("home") / "models"
    models.mkdir()
    (models / "tiny").symlink_to(home / "models" / "tiny")
    build_tiny_wan(models / "ends", "wan2.1 flf2v", steps=2)
    with api(models.parent, tmp_path_factory.mktemp("api")) as opened:
        yield opened


def picture(colour: str, suffix: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (96, 64), colour).save(file, suffix)
    return file.getvalue()


def test_both_pictures_are_kept_with_the_job_and_reach_the_maker(shared: Api, tmp_path: Path) -> None:
    start, end = picture("teal"), picture("red", "JPEG")
    sent = {"prompt": (None, "a ball"), "model": (None, "ends"), "input_reference": start, "end_image": end}
    made = shared.post("/v1/videos", files=sent, headers={"idempotency-key": "both"})
    assert made.status_code == 200, made.text
    job = shared.service.queue.find(made.json()["id"])
    assert job is not None
    assert job.files == {"input": f"{job.id}/input.png", "end_image": f"{job.id}/end_image.jpg"}
    assert [shared.service.blobs.size(blob) for blob in job.files.values()] == [len(start), len(end)]

    asked = Asked.from_dict(job.request)
    blobs = blobs_of(asked)
    assert blobs == list(job.files.values())
    request = request_of_job(asked, tmp_path, {blob: f"in-{number}" for number, blob in enumerate(blobs)})
    assert (request.image, request.end_image) == (tmp_path / "in-0", tmp_path / "in-1")
    moved = started_from(asked, {blobs[1]: "elsewhere.jpg"})
    assert (moved.input, moved.end_image) == (blobs[0], "elsewhere.jpg")

    again = shared.post("/v1/videos", files=sent, headers={"idempotency-key": "both"})
    assert again.json()["id"] == job.id
    kept = {name for name, _ in shared.service.blobs.names()}
    assert kept == set(job.files.values()), "what was sent again is not kept"
    assert shared.ask("DELETE", f"/v1/videos/{job.id}").status_code == 200
    assert not list(shared.service.blobs.names())


@pytest.mark.parametrize(
    ("model", "names", "param"),
    [
        ("ends", ("end_image",), "end_image"),
        ("ends", ("input_reference",), "input_reference"),
        ("tiny", ("input_reference", "end_image"), "end_image"),
    ],
)
def test_a_model_that_cannot_use_them_says_so(shared: Api, model: str, names: tuple[str, ...], param: str) -> None:
    before = shared.service.queue.depth()
    sent = {"prompt": (None, "a ball"), "model": (None, model)} | {name: picture("teal") for name in names}
    fault(shared.post("/v1/videos", files=sent), 400, "invalid_value", param)
    sent = {"prompt": (None, "a ball"), "model": (None, "ends"), "input_reference": picture("teal"), "end_image": b"x"}
    fault(shared.post("/v1/videos", files=sent), 400, "invalid_file", "end_image")
    assert shared.service.queue.depth() == before
