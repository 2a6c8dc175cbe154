"""What the policy holds, from the queue to a reviewer and back to its video: a real API, worker and tiny model.

About 20 seconds, most of them the start of the maker; the policy holds German prompts and every frame.
"""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from PIL import Image

from api_house import Api, fault
from hibari.access import Audit, Users
from hibari.config import ServiceSettings, Settings
from hibari.errors import InvalidRequest
from hibari.media.decode import probe
from hibari.produce.review import ReviewDesk
from hibari.provenance.ids import GenerationId
from hibari.provenance.verify import Verifier
from hibari.serve.work.worker import work
from hibari.store import tables
from houses import holding, own_home

GERMAN = "ein Oktopus schwimmt mit dem Fisch nach links"
ENGLISH = "an octopus drifts to the left"
PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service with one worker, in which rita is a reviewer."""
    folder = tmp_path_factory.mktemp("reviews")
    settings = Settings(
        home=own_home(home, folder / "home"),
        model="tiny",
        device="cpu",
        dtype="float32",
        policy=holding(folder),
        user="operator",
        reviewers="operator",
        service=ServiceSettings(aliases="sora-2=tiny", jobs_at_once=20),
    )
    api = Api(settings)
    Users(api.service.store).add("rita", "reviewer")
    api.keys["rita"], _ = api.service.keys.create("rita")
    stop = Event()
    worker = Thread(target=lambda: work(settings, stop=stop))
    worker.start()
    try:
        yield api
    finally:
        stop.set()
        worker.join(PATIENCE_S)
        api.close()


def ask(house: Api, prompt: str, **fields: Any) -> str:
    """A small video of ann's; its id."""
    body = {"prompt": prompt, "size": "192x128", "seconds": 0.5, "num_inference_steps": 1, "seed": 4}
    answer = house.post("/v1/videos", json=body) if not fields else house.post("/v1/videos", data=body, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def ended(house: Api, id: str) -> dict[str, Any]:
    """The video once it is completed or failed."""
    deadline = time.monotonic() + PATIENCE_S
    while (video := house.get(f"/v1/videos/{id}").json())["status"] not in ("completed", "failed"):
        assert time.monotonic() < deadline, video
        time.sleep(0.1)
    return video


def waiting(house: Api, id: str) -> dict[str, Any]:
    """The review that a video waits for, once it does."""
    video = ended(house, id)
    assert video["status"] == "failed" and video["error"]["code"] == "held_for_review", video
    assert "retrieve this video again later" in video["error"]["message"]
    (review,) = [one for one in house.get("/v1/reviews", "rita").json()["data"] if one["video_id"] == id]
    assert review["status"] == "waiting" and review["id"] in video["error"]["message"]
    return review


def say(house: Api, review: dict[str, Any], word: str, who: str = "rita") -> dict[str, Any]:
    answer = house.post(f"/v1/reviews/{review['id']}/{word}", who, json={"reason": "looked at"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(house: Api, id: str) -> list[str]:
    """What webhooks are told of a video."""
    table = tables.webhook_events
    with house.service.store.reading() as connection:
        bodies = connection.execute(table.select().order_by(table.c.sequence)).all()
    return [
        kind for row in bodies if id in row.body for kind in ("video.completed", "video.failed") if kind in row.body
    ]


def test_a_held_request_with_an_upload_goes_on_and_so_do_its_held_frames(house: Api, tmp_path: Path) -> None:
    hook = {"name": "n", "url": "https://example.org/h", "event_types": ["video.completed", "video.failed"]}
    assert house.post("/v1/webhook_endpoints", json=hook).status_code == 200
    file = io.BytesIO()
    Image.new("RGB", (192, 128), (40, 90, 200)).save(file, "PNG")
    id = ask(house, GERMAN, files={"input_reference": ("a.png", file.getvalue(), "image/png")})
    review = waiting(house, id)
    assert (review["stage"], review["user"], review["prompt"], review["size"]) == ("prompt", "ann", GERMAN, "192x128")
    assert house.get(f"/v1/reviews/{review['id']}", "rita").json()["files"] == ["input"]
    shown = house.get(f"/v1/reviews/{review['id']}/content", "rita")
    assert shown.content == file.getvalue() and shown.headers["content-type"] == "image/png"
    assert house.service.queue.find(id).generation_id == GenerationId.parse(review["id"]).value  # type: ignore[union-attr]

    assert say(house, review, "allow")["status"] == "allowed"
    again = waiting(house, id)
    assert (again["id"], again["stage"]) == (review["id"], "frames")
    assert "what is shown at 0.0 s looks like it" in again["reason"]
    held = house.get(f"/v1/reviews/{again['id']}/content", "rita")
    assert held.headers["content-type"] == "video/mp4" and house.get(f"/v1/videos/{id}/content").status_code == 404

    say(house, again, "allow")
    video = ended(house, id)
    assert (video["status"], video["error"], video["progress"]) == ("completed", None, 100)
    made = house.get(f"/v1/videos/{id}/content").content
    assert made == held.content, "byte for byte what the reviewer saw"
    for variant in ("thumbnail", "spritesheet"):
        assert house.get(f"/v1/videos/{id}/content?variant={variant}").status_code == 200
    (tmp_path / "a.mp4").write_bytes(made)
    assert probe(tmp_path / "a.mp4").frames == 6
    answer = Verifier.open(house.service.settings).verify(tmp_path / "a.mp4")
    assert answer.made_here and answer.intact and str(answer.id) == review["id"]
    assert events(house, id) == ["video.failed", "video.failed", "video.completed"]
    names = [name for name, _ in house.service.blobs.names() if name.startswith(id)]
    assert not [name for name in names if "/held-" in name], "it is the video by now"


def test_a_denied_video_stays_failed_and_nothing_of_it_is_kept(house: Api) -> None:
    id = ask(house, ENGLISH)
    review = waiting(house, id)
    assert review["stage"] == "frames"
    assert say(house, review, "deny")["status"] == "refused"
    error = ended(house, id)["error"]
    assert error == {"code": "moderation_blocked", "message": "A reviewer did not allow this video: looked at"}
    assert events(house, id)[-1] == "video.failed"
    assert [name for name, _ in house.service.blobs.names() if name.startswith(id)]
    assert house.service.sweeper.sweep().refused == 1
    assert not [name for name, _ in house.service.blobs.names() if name.startswith(id)]
    fault(house.get(f"/v1/reviews/{review['id']}/content", "rita"), 404, "not_found", "which")
    again = house.post(f"/v1/reviews/{review['id']}/allow", "rita", json={"reason": "no"})
    assert "was refused by rita already" in fault(again, 400, "already_decided", "review_id")


def test_who_may_decide(house: Api) -> None:
    review = waiting(house, ask(house, ENGLISH))
    path = f"/v1/reviews/{review['id']}"
    for who in ("ann", "bob", "eve"):
        for method, where in (("GET", "/v1/reviews"), ("GET", path), ("POST", f"{path}/allow")):
            fault(house.ask(method, where, who), 403, "permission_denied")
    body = {"prompt": ENGLISH, "size": "192x128", "seconds": 0.5, "num_inference_steps": 1}
    own = house.post("/v1/videos", "root", json=body).json()["id"]
    deadline = time.monotonic() + PATIENCE_S
    while not (mine := [one for one in house.get("/v1/reviews", "root").json()["data"] if one["video_id"] == own]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = house.post(f"/v1/reviews/{mine[0]['id']}/allow", "root", json={"reason": "mine"})
    assert "asked for themselves" in fault(answer, 403, "permission_denied")
    fault(house.post(f"{path}/allow", "rita", json={}), 400, "missing_required_parameter", "reason")
    fault(house.post("/v1/reviews/hbr_0000000000/allow", "rita", json={"reason": "x"}), 404, "not_found", "review_id")
    fault(house.get("/v1/reviews/../x", "rita"), 404, "unknown_url")

    desk = ReviewDesk(house.service.settings)
    released = desk.allow(GenerationId.parse(mine[0]["id"]), "at the command line")
    assert released.path is None and released.item.state == "allowed"
    deadline = time.monotonic() + PATIENCE_S
    while house.get(f"/v1/videos/{own}", "root").json()["status"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    rows = [row for row in Audit(house.service.store).list(limit=100) if row.action == "review.decide"]
    assert {(row.actor, row.allowed, row.reason) for row in rows} >= {
        ("root", False, "nobody decides what they asked for themselves"),
        ("local:operator", True, "allowed"),
        ("rita", True, "refused"),
        ("rita", True, "allowed"),
    }
    assert Audit(house.service.store).verify().broken is None


def test_a_video_that_is_deleted_waits_for_nobody(house: Api) -> None:
    id = ask(house, ENGLISH)
    review = waiting(house, id)
    assert house.ask("DELETE", f"/v1/videos/{id}").status_code == 200
    assert house.get(f"/v1/reviews/{review['id']}", "rita").json()["status"] == "refused"
    assert not [name for name, _ in house.service.blobs.names() if name.startswith(id)]


def test_pages_of_what_waits(house: Api) -> None:
    ids = [waiting(house, ask(house, ENGLISH))["id"] for _ in range(2)]
    first = house.get("/v1/reviews?limit=1", "rita").json()
    assert [one["id"] for one in first["data"]] == [ids[1]] and first["has_more"]
    rest = house.get(f"/v1/reviews?limit=1&after={ids[1]}", "rita").json()
    assert [one["id"] for one in rest["data"]] == [ids[0]]
    oldest = house.get("/v1/reviews?order=asc&limit=100", "rita").json()["data"]
    assert [one["id"] for one in oldest][-2:] == ids


def test_a_picture_waits_for_nobody(house: Api) -> None:
    answer = house.post("/v1/images/generations", json={"prompt": GERMAN, "size": "192x128"})
    assert "waits for no reviewer" in fault(answer, 400, "moderation_blocked")
    assert all(one["prompt"] != GERMAN for one in house.get("/v1/reviews?limit=100", "rita").json()["data"])


def test_the_command_line_gives_no_other_file_of_what_a_video_waits_for(house: Api, tmp_path: Path) -> None:
    review = waiting(house, ask(house, ENGLISH))
    desk = ReviewDesk(replace(house.service.settings, user="operator"))
    item = desk.find(GenerationId.parse(review["id"]))
    assert Path(desk.file_of(item)).is_file(), "a reviewer on the same machine can look at it"
    with pytest.raises(InvalidRequest, match="goes back to"):
        desk.allow(item.id, "fine", output=tmp_path / "a.mp4")
    assert desk.refuse(item.id, "no").state == "refused"
