"""The API's routes and every shape of error, asked in process. About 15 seconds, a third of them the tiny model's."""

import hashlib
import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import update

from api_house import Api, api, fault
from hibari.media.encode import write_video
from hibari.store import tables

KEYS = {
    "id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt",
    "remixed_from_video_id", "size", "seconds", "error",
}  # fmt: skip
NOBODY = f"video_{0:024x}"
SAID = {"prompt": "a fox turns"}
URL = "input_reference.image_url"
FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhi'


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    many = {"jobs_at_once": 500, "seconds_a_day": 1e6, "requests_a_minute": 6000}
    with api(home, tmp_path_factory.mktemp("api"), **many) as opened:
        yield opened


def picture(width: int = 96, height: int = 64) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def clip(path: Path, frames: int = 9) -> bytes:
    write_video(path, (np.full((64, 96, 3), index % 250, np.uint8) for index in range(frames)), 12)
    return path.read_bytes()


def finish(shared: Api, video: dict[str, Any], data: bytes, **also: Any) -> None:
    """Make a queued video one that is done, as a worker does."""
    queue, blobs = shared.service.queue, shared.service.blobs
    while (job := queue.claim("w")).id != video["id"]:
        queue.fail(job, "server_error", "not this one")
    place = shared.service.uploads
    with place.private_file() as path:
        path.write_bytes(data)
        blobs.put(f"{job.id}/video.mp4", path)
    files, hours = {"video": f"{job.id}/video.mp4"}, also.get("expires", timedelta(hours=1)) / timedelta(hours=1)
    assert queue.complete(job, files=files, generation_id=5, keep_hours=hours, latents_hours=1)


def test_a_video_has_its_thirteen_keys_and_ours(shared: Api) -> None:
    made = shared.create(model="sora-2", seconds="0.5", size="192x128", seed=7)
    assert made.keys() >= KEYS
    assert (made["object"], made["status"], made["progress"], made["error"]) == ("video", "queued", 0, None)
    assert (made["model"], made["seconds"], made["size"], made["seed"]) == ("sora-2", "0.5", "192x128", 7)
    found = shared.get(f"/v1/videos/{made['id']}")
    assert found.json()["id"] == made["id"] and int(found.headers["openai-poll-after-ms"]) >= 1000
    assert shared.service.queue.find(made["id"]).model == "tiny"


def test_an_alias_gives_what_its_own_api_gives_by_default(shared: Api) -> None:
    as_sora, plain = shared.create(model="sora-2"), shared.create()
    assert (as_sora["size"], as_sora["seconds"]) == ("720x1280", "4")
    assert (plain["model"], plain["size"], plain["seconds"]) == ("sora-2", "192x128", "0.75"), "called as by default"


@pytest.mark.parametrize("seconds", [1, "1", 1.0, "1.0", "1.", "2.5"])
def test_seconds_are_numbers_or_their_text(shared: Api, seconds: object) -> None:
    assert shared.create(seconds=seconds)["seconds"] == ("2.5" if seconds == "2.5" else "1")


def test_frames_go_before_seconds(shared: Api) -> None:
    made = shared.create(num_frames=9, fps=24, seconds=3, width=192, height=128)
    assert (made["seconds"], made["num_frames"], made["fps"], made["size"]) == ("0.375", 9, 24, "192x128")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "prompt", "missing_required_parameter"),
        ({"prompt": ""}, "prompt", "invalid_value"),
        ({"prompt": 5}, "prompt", "invalid_type"),
        ({"prompt": "x" * 32_001}, "prompt", "string_above_max_length"),
        ({"prompt": "x\0"}, "prompt", "invalid_value"),
        (SAID | {"colour": "red"}, "colour", "unknown_parameter"),
        (SAID | {"model": "sora-9"}, "model", "model_not_found"),
        (SAID | {"model": "/etc"}, "model", "model_not_found"),
        (SAID | {"model": "../tiny"}, "model", "model_not_found"),
        (SAID | {"size": "big"}, "size", "invalid_value"),
        (SAID | {"size": "63x64"}, "size", "invalid_value"),
        (SAID | {"size": "4096x64"}, "size", "invalid_value"),
        (SAID | {"width": 192}, "height", "missing_required_parameter"),
        (SAID | {"seconds": "long"}, "seconds", "invalid_type"),
        (SAID | {"seconds": "0"}, "seconds", "invalid_value"),
        (SAID | {"seconds": -1}, "seconds", "invalid_value"),
        (SAID | {"seconds": 21}, "seconds", "invalid_value"),
        (SAID | {"seconds": True}, "seconds", "invalid_type"),
        (SAID | {"seed": False}, "seed", "invalid_type"),
        (SAID | {"seed": 1.5}, "seed", "invalid_type"),
        (SAID | {"seed": -1}, "seed", "invalid_value"),
        (SAID | {"fps": 61}, "fps", "invalid_value"),
        (SAID | {"num_frames": 1}, "num_frames", "invalid_value"),
        (SAID | {"num_inference_steps": 0}, "num_inference_steps", "invalid_value"),
        (SAID | {"guidance_scale": 0}, "guidance_scale", "invalid_value"),
        (SAID | {"guidance_scale_2": 3}, "guidance_scale_2", "invalid_value"),
        (SAID | {"n": 2}, "n", "invalid_value"),
        (SAID | {"strength": 0.5}, "strength", "invalid_value"),
        (SAID | {"characters": ["char_none"]}, "characters", "not_found"),
        (SAID | {"characters": "x"}, "characters", "invalid_value"),
        (SAID | {"input_reference": {"file_id": "file-1"}}, "input_reference", "not_supported"),
        (SAID | {"input_reference": "x"}, "input_reference", "invalid_type"),
        (SAID | {"input_reference": {"image_url": "http://127.0.0.1/x.png"}}, URL, "not_supported"),
        (SAID | {"input_reference": {"image_url": "data:image/png;base64,?"}}, URL, "invalid_value"),
        (SAID | {"input_reference": {"image_url": "data:image/png;base64,aGk="}}, "input_reference", "invalid_file"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(shared: Api, fields: dict[str, Any], param: str, code: str) -> None:
    before = shared.service.queue.depth()
    assert fault(shared.post("/v1/videos", json=fields), 400, code, param)
    assert shared.service.queue.depth() == before


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 400, "invalid_json"),
        (b'{"prompt": NaN}', "application/json", 400, "invalid_json"),
        (b"[" * 100_000, "application/json", 400, "invalid_json"),
        (b"\xff\xfe", "application/json", 400, "invalid_json"),
        (b"hello", "text/plain", 415, "unsupported_media_type"),
        (b"hello", "multipart/form-data", 400, "invalid_request"),
        (b"--x\r\nnonsense\r\n--x--", FORM, 400, "invalid_request"),
        (PART, FORM, 400, "invalid_request"),
    ],
)  # fmt: skip
def test_a_bad_body(shared: Api, body: bytes, kind: str, status: int, code: str) -> None:
    fault(shared.post("/v1/videos", content=body, headers={"content-type": kind}), status, code)


def test_half_a_surrogate_pair_is_no_text(shared: Api) -> None:
    sent = shared.post("/v1/videos", content=b'{"prompt": "\\ud800"}', headers={"content-type": "application/json"})
    fault(sent, 400, "invalid_value", "prompt")


def test_forms_with_brackets(shared: Api) -> None:
    fields = {"prompt": (None, "a fox"), "seconds": (None, "0.5"), "seed": (None, "3"), "input_reference": picture()}
    made = shared.post("/v1/videos", files=fields)
    assert made.status_code == 200 and made.json()["seed"] == 3, made.text
    kept = shared.service.queue.find(made.json()["id"])
    assert kept.files == {"input": f"{kept.id}/input.png"} and kept.request["input"] == kept.files["input"]
    assert shared.service.blobs.size(kept.files["input"]) == len(picture())
    twice = (
        b"".join(b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhi\r\n' for _ in range(2)) + b"--x--\r\n"
    )
    sent = shared.post("/v1/videos", content=twice, headers={"content-type": "multipart/form-data; boundary=x"})
    fault(sent, 400, "invalid_value", "prompt")


def test_a_data_url_is_a_start_image(shared: Api) -> None:
    import base64

    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    made = shared.post("/v1/videos", files={"prompt": (None, "a fox"), "input_reference[image_url]": (None, url)})
    assert shared.service.queue.find(made.json()["id"]).request["input"].endswith("/input.png")


def test_too_large_a_body(home: Path, tmp_path: Path) -> None:
    with api(home, tmp_path / "small", max_upload_mb=1) as small:
        sent = {"prompt": (None, "a fox"), "input_reference": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(1_500_000))}
        fault(small.post("/v1/videos", files=sent), 413, "request_too_large")
        sent["input_reference"] = ("a.png", bytes(5_000_000))
        fault(small.post("/v1/videos", files=sent), 413, "request_too_large")

        async def endless() -> Any:
            for _ in range(100):
                yield bytes(100_000)

        json = {"content-type": "application/json"}
        fault(small.post("/v1/videos", content=endless(), headers=json), 413, "request_too_large")


@pytest.mark.parametrize("path", ["/v1/video", "/", "/v1/videos/", "/docs", "/redoc", "/v1/chat/completions"])
def test_unknown_routes(shared: Api, path: str) -> None:
    answer = shared.get(path)
    fault(answer, 404, "unknown_url")
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


def test_methods_that_are_not(shared: Api) -> None:
    answer = shared.ask("PUT", "/v1/videos")
    fault(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


def test_a_fault_of_ours_says_nothing_of_itself(home: Path, tmp_path: Path) -> None:
    with api(home, tmp_path / "broken") as broken:
        made = broken.create()
        with broken.service.store.writing() as connection:
            connection.execute(update(tables.videos).values(request={"steps": 1}, files={"video": ["no", "name"]}))
            row = {"status": "completed", "completed_at": datetime.now(UTC), "generation_id": 4}
            connection.execute(update(tables.videos).values(row))
        message = fault(broken.get(f"/v1/videos/{made['id']}/content"), 500, "server_error")
        assert message == "The server had an error while processing your request."


def test_keys(shared: Api) -> None:
    no_key = shared.get("/v1/videos", None)
    fault(no_key, 401, "invalid_api_key")
    assert no_key.headers["www-authenticate"] == "Bearer"
    for header in ("Bearer hk-wrong", "Basic aGs6", "Bearer", "hk-1"):
        message = fault(shared.get("/v1/videos", None, headers={"authorization": header}), 401, "invalid_api_key")
        assert "hk-" not in message
    token, record = shared.service.keys.create("ann")
    mine = {"authorization": f"Bearer {token}"}
    assert shared.get("/v1/models", None, headers=mine).status_code == 200
    shared.service.keys.revoke(record.id)
    fault(shared.get("/v1/models", None, headers=mine), 401, "invalid_api_key")


def test_another_ones_video_is_not_there(shared: Api) -> None:
    made = shared.create("ann")
    for path, method in [("", "GET"), ("", "DELETE"), ("/content", "GET"), ("/events", "GET"), ("/remix", "POST")]:
        more = {"json": SAID} if method == "POST" else {}
        mine = shared.ask(method, f"/v1/videos/{made['id']}{path}", "bob", **more)
        nobodys = shared.ask(method, f"/v1/videos/{NOBODY}{path}", "bob", **more)
        assert fault(mine, 404, "not_found", mine.json()["error"]["param"]) == fault(
            nobodys, 404, "not_found", nobodys.json()["error"]["param"]
        )
        assert mine.json() == nobodys.json()
    assert made["id"] not in shared.get("/v1/videos?limit=100", "bob").text
    assert shared.get(f"/v1/videos/{made['id']}", "root").status_code == 200
    assert shared.service.queue.find(made["id"]) is not None


def test_how_long_is_said_in_one_way(shared: Api) -> None:
    for seconds in (0, -1, 21, 4000):
        said = fault(shared.post("/v1/videos", json=SAID | {"seconds": seconds}), 400, "invalid_value", "seconds")
        assert said == f"{seconds} is not allowed: give more than 0, and at most 20."


def test_roles_are_denied_by_default_and_it_is_written_down(shared: Api, caplog: pytest.LogCaptureFixture) -> None:
    fault(shared.post("/v1/videos", "eve", json=SAID), 403, "permission_denied")
    with caplog.at_level(logging.INFO, "hibari.serve"):
        said = fault(shared.get("/v1/videos", "al"), 403, "permission_denied")
    assert said == "You may not do this: an auditor may not list videos."
    assert [line.user for line in caplog.records if line.message == "request"] == ["al"], "the log knows who"
    denied = shared.service.audit.list(limit=5)
    assert [(entry.actor, entry.action, entry.allowed) for entry in denied[:2]] == [
        ("al", "video.list", False),
        ("eve", "video.create", False),
    ]
    assert shared.service.audit.verify().whole


def test_pages(shared: Api) -> None:
    ids = [shared.create("root")["id"] for _ in range(3)]
    first = shared.get("/v1/videos?limit=2", "root").json()
    assert [video["id"] for video in first["data"]] == ids[:0:-1]
    assert (first["object"], first["has_more"], first["last_id"]) == ("list", True, ids[1])
    rest = shared.get(f"/v1/videos?limit=2&after={first['last_id']}", "root").json()
    assert ([video["id"] for video in rest["data"]], rest["has_more"]) == (ids[:1], False)
    assert shared.get("/v1/videos?order=asc&limit=1", "root").json()["first_id"] == ids[0]
    empty = shared.get("/v1/videos", "bob").json()
    assert (empty["data"], empty["first_id"], empty["last_id"], empty["has_more"]) == ([], None, None, False)
    for query, param in [
        (f"after={NOBODY}", "after"), ("after=x", "after"), ("limit=101", "limit"), ("limit=-1", "limit"),
        ("limit=x", "limit"), ("order=up", "order"), ("limit=1&limit=2", "limit"),
    ]:  # fmt: skip
        fault(shared.get(f"/v1/videos?{query}", "root"), 400, "invalid_value", param)


def test_who_may_lists_what_is_anothers(shared: Api) -> None:
    made = shared.create("ann")["id"]
    assert shared.get("/v1/videos?user=ann&limit=1", "root").json()["first_id"] == made
    assert shared.get("/v1/videos?user=ann&limit=1", "ann").json()["first_id"] == made
    assert shared.get("/v1/videos?user=nobody", "root").json()["data"] == []
    for who in ("bob", "eve"):
        fault(shared.get("/v1/videos?user=ann", who), 404, "not_found", "user")
    for wrong in ("", "%00", "x" * 201):
        code = "string_above_max_length" if len(wrong) > 200 else "invalid_value"
        fault(shared.get(f"/v1/videos?user={wrong}", "root"), 400, code, "user")


def test_one_key_makes_one_video(shared: Api) -> None:
    headers = {"idempotency-key": "once"}
    first = shared.post("/v1/videos", json=SAID, headers=headers).json()
    again = shared.post("/v1/videos", json=SAID, headers=headers).json()
    assert first["id"] == again["id"]
    with_file = {"prompt": (None, "a fox turns"), "input_reference": picture()}
    other = shared.post("/v1/videos", files=with_file, headers=headers)
    fault(other, 400, "invalid_value", "Idempotency-Key")
    fault(
        shared.post("/v1/videos", json=SAID, headers={"idempotency-key": "a b"}),
        400,
        "invalid_value",
        "Idempotency-Key",
    )
    one = shared.post("/v1/videos", files=with_file, headers={"idempotency-key": "file"}).json()
    two = shared.post("/v1/videos", files=with_file, headers={"idempotency-key": "file"}).json()
    assert one["id"] == two["id"]
    names = [name for name, _ in shared.service.blobs.names()]
    assert f"{one['id']}/input.png" in names
    known = {shared.service.lookup.video(name.split("/")[0]) is not None for name in names}
    assert known == {True}, "a file that was sent again is not kept"


def test_limits(home: Path, tmp_path: Path) -> None:
    with api(home, tmp_path / "few", jobs_at_once=1, requests_a_minute=30, seconds_a_day=2.0) as few:
        made = few.create(seconds=1)
        full = few.post("/v1/videos", json=SAID)
        fault(full, 429, "too_many_jobs")
        assert 1 <= int(full.headers["retry-after"]) <= 60 and "x-should-retry" not in full.headers
        assert few.ask("DELETE", f"/v1/videos/{made['id']}").status_code == 200
        spent = few.post("/v1/videos", json=SAID | {"seconds": 2})
        fault(spent, 429, "daily_seconds")
        assert spent.json()["error"]["type"] == "insufficient_quota" and spent.headers["x-should-retry"] == "false"
        answers = [few.get("/v1/models", "eve") for _ in range(31)]
        assert fault(answers[-1], 429, "rate_limit_exceeded") and int(answers[-1].headers["retry-after"]) >= 1
        assert few.get("/v1/models", "bob").status_code == 200, "another's knocking is not bob's"


def test_delete_takes_everything(shared: Api) -> None:
    made = shared.post("/v1/videos", files={"prompt": (None, "a fox"), "input_reference": picture()}).json()
    gone = shared.ask("DELETE", f"/v1/videos/{made['id']}")
    assert gone.json() == {"id": made["id"], "object": "video.deleted", "deleted": True}
    assert shared.service.blobs.size(f"{made['id']}/input.png") is None
    fault(shared.get(f"/v1/videos/{made['id']}"), 404, "not_found", "video_id")
    fault(shared.ask("DELETE", f"/v1/videos/{made['id']}"), 404, "not_found", "video_id")


def test_content(shared: Api) -> None:
    made = shared.create()
    path = f"/v1/videos/{made['id']}/content"
    fault(shared.get(path), 404, "video_not_ready", "video_id")
    data = bytes(range(256)) * 40
    finish(shared, made, data)
    whole = shared.get(path, headers={"accept": "application/binary"})
    assert (whole.status_code, whole.content) == (200, data)
    assert (whole.headers["content-type"], whole.headers["content-length"]) == ("video/mp4", str(len(data)))
    part = shared.get(path, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    assert shared.get(path, headers={"range": "bytes=-5"}).content == data[-5:]
    assert shared.get(path, headers={"range": "bytes=10230-"}).content == data[10230:]
    assert shared.get(path, headers={"range": "bytes=1-2,5-6"}).content == data
    assert shared.get(path, headers={"range": "bytes=1-2", "if-range": '"other"'}).content == data
    fault(shared.get(path, headers={"range": "bytes=99999-"}), 416, "invalid_range")
    fault(shared.get(path, headers={"range": "bytes=-0"}), 416, "invalid_range")
    same = shared.get(path, headers={"if-none-match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    fault(shared.get(f"{path}?variant=thumbnail"), 404, "not_found", "variant")
    fault(shared.get(f"{path}?variant=preview"), 404, "not_found", "variant")
    fault(shared.get(f"{path}?variant=audio"), 400, "invalid_value", "variant")
    assert shared.get(f"/v1/videos/{made['id']}").json()["progress"] == 100


def test_content_that_failed_or_expired(shared: Api) -> None:
    old, bad = shared.create(), shared.create()
    finish(shared, old, b"x", expires=timedelta(seconds=-1))
    fault(shared.get(f"/v1/videos/{old['id']}/content"), 404, "video_expired", "video_id")
    while (job := shared.service.queue.claim("w")).id != bad["id"]:
        shared.service.queue.fail(job, "server_error", "not this one")
    shared.service.queue.fail(job, "moderation_blocked", "Your request was blocked by our moderation system.")
    failed = shared.get(f"/v1/videos/{bad['id']}")
    assert (failed.status_code, failed.json()["status"]) == (200, "failed")
    assert failed.json()["error"]["code"] == "moderation_blocked"
    fault(shared.get(f"/v1/videos/{bad['id']}/content"), 404, "video_failed", "video_id")
    fault(shared.post(f"/v1/videos/{bad['id']}/remix", json=SAID), 400, "video_not_ready", "video_id")


def test_verbs_over_a_video(shared: Api, tmp_path: Path) -> None:
    made = shared.create(seconds=1)
    fault(shared.post(f"/v1/videos/{made['id']}/remix", json=SAID), 400, "video_not_ready", "video_id")
    finish(shared, made, b"x")
    remix = shared.post(f"/v1/videos/{made['id']}/remix", json=SAID).json()
    assert (remix["remixed_from_video_id"], remix["seconds"], remix["size"]) == (made["id"], "1", "192x128"), remix
    edit = shared.post("/v1/videos/edits", files={"prompt": (None, "fog"), "video[id]": (None, made["id"])}).json()
    assert edit["remixed_from_video_id"] == made["id"], edit
    longer = shared.post("/v1/videos/extensions", json=SAID | {"video": {"id": made["id"]}, "seconds": "0.5"}).json()
    assert longer["seconds"] == "1.5", "the stitched total"
    kept = shared.service.queue.find(longer["id"]).request
    assert (kept["verb"], kept["seconds"], kept["source"]["video"]) == ("extend", 0.5, f"{made['id']}/video.mp4")
    sent = {"prompt": (None, "fog"), "video": ("mine.mp4", clip(tmp_path / "mine.mp4")), "consent": (None, "nobody")}
    upload = shared.post("/v1/videos/edits", files=sent).json()
    kept = shared.service.queue.find(upload["id"])
    assert (upload["remixed_from_video_id"], upload["seconds"]) == (None, "0.75"), upload
    assert kept.request["source"]["video"] == kept.files["input"] == f"{kept.id}/input.mp4"
    fault(shared.post("/v1/videos/edits", json=SAID), 400, "missing_required_parameter", "video")
    fault(shared.post("/v1/videos/edits", json=SAID | {"video": "x"}), 400, "invalid_type", "video")
    fault(shared.post("/v1/videos/extensions", json=SAID), 400, "missing_required_parameter", "seconds")
    nobodys = SAID | {"video": {"id": NOBODY}, "seconds": 1}
    fault(shared.post("/v1/videos/extensions", json=nobodys), 404, "not_found", "video")
    theirs = SAID | {"video": {"id": made["id"]}, "seconds": 1}
    fault(shared.post("/v1/videos/extensions", "bob", json=theirs), 404, "not_found", "video")


def test_models(shared: Api) -> None:
    listed = shared.get("/v1/models").json()
    assert {"sora-2", "tiny"} <= {model["id"] for model in listed["data"]}
    one = shared.get("/v1/models/sora-2").json()
    assert (one["object"], one["name"], one["fps"]) == ("model", "tiny", 12)
    fault(shared.get("/v1/models/none"), 404, "model_not_found", "model")


def test_webhook_endpoints(shared: Api) -> None:
    new = {"name": "mine", "url": "https://example.com/hook", "event_types": ["video.completed"]}
    made = shared.post("/v1/webhook_endpoints", json=new).json()
    assert made["signing_secret"].startswith("whsec_") and made["object"] == "webhook_endpoint"
    path = f"/v1/webhook_endpoints/{made['id']}"
    found = shared.get(path).json()
    assert "signing_secret" not in found and found["event_types"] == ["video.completed"]
    assert shared.post(path, json={"name": "ours"}).json()["name"] == "ours"
    assert shared.get("/v1/webhook_endpoints").json()["last_id"] == made["id"]
    assert shared.get(f"/v1/webhook_endpoints?after={made['id']}").json()["data"] == []
    fault(shared.get("/v1/webhook_endpoints?after=we_x"), 400, "invalid_value", "after")
    fault(shared.get("/v1/webhook_endpoints?order=up"), 400, "invalid_value", "order")
    rotated = shared.post(f"{path}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True}).json()
    assert rotated["signing_secret"] != made["signing_secret"]
    assert shared.post(f"{path}/rotate_secret").status_code == 200
    fault(shared.get(path, "bob"), 404, "not_found", "endpoint_id")
    for url in ("http://127.0.0.1:9999", "https://localhost:9999", "http://192.168.1.5"):
        fault(shared.post("/v1/webhook_endpoints", json=new | {"url": url}), 400, "invalid_value", "url")
        fault(shared.post(path, json={"url": url}), 400, "invalid_value", "url")
    assert shared.get(path).json()["url"] == new["url"] and shared.get(path).json()["last_error"] is None
    bad = shared.post("/v1/webhook_endpoints", json=new | {"event_types": ["video.eaten"]})
    fault(bad, 400, "invalid_value", "event_types")
    assert shared.ask("DELETE", path).json()["deleted"] is True
    fault(shared.get(path), 404, "not_found", "endpoint_id")


def test_pictures_say_what_they_cannot(shared: Api) -> None:
    for field, value in [("n", 11), ("response_format", "url"), ("output_format", "webp"), ("stream", True)]:
        sent = shared.post("/v1/images/generations", json=SAID | {field: value})
        assert sent.status_code == 400 and sent.json()["error"]["param"] == field
    fault(shared.post("/v1/images/generations", json=SAID | {"size": "x"}), 400, "invalid_value", "size")


def test_moderations_say_what_they_cannot(shared: Api) -> None:
    fault(shared.post("/v1/moderations", json={}), 400, "missing_required_parameter", "input")
    for value in (5, [], ["x", 5], [{"type": "audio"}]):
        fault(shared.post("/v1/moderations", json={"input": value}), 400, "invalid_type", "input")


def test_strangers_may_ask_where_a_file_comes_from(shared: Api) -> None:
    sent = shared.post("/v1/content_provenance_checks", None, files={"file": b"words"})
    fault(sent, 400, "invalid_file", "file")
    answers = [shared.post("/v1/content_provenance_checks", None) for _ in range(20)]
    fault(answers[-1], 429, "rate_limit_exceeded")


def test_operation(shared: Api) -> None:
    assert shared.get("/healthz", None).json() == {"status": "ok"}
    assert shared.get("/readyz", None).json() == {"status": "ready", "workers": 0}
    fault(shared.get("/metrics", None), 401, "invalid_api_key")
    fault(shared.get("/metrics", "ann"), 403, "permission_denied")
    text = shared.get("/metrics", "al").text
    assert 'hibari_videos{status="queued"}' in text and "hibari_queue_wait_seconds" in text
    assert 'hibari_requests_total{operation="create_video",status="200"}' in text
    document = shared.get("/openapi.json", None).json()
    assert {"/v1/videos", "/v1/videos/{video_id}/content"} <= document["paths"].keys()


def test_request_ids_are_kept_where_they_can_stand_in_a_log(shared: Api) -> None:
    assert shared.get("/healthz", None, headers={"x-request-id": "abc.1"}).headers["x-request-id"] == "abc.1"
    made = shared.get("/healthz", None, headers={"x-request-id": "a b\t"}).headers["x-request-id"]
    assert made.startswith("req_")


def test_events_tell_until_the_end(shared: Api) -> None:
    made = shared.create()
    finish(shared, made, hashlib.sha256(b"").digest())
    told = shared.get(f"/v1/videos/{made['id']}/events")
    assert told.headers["content-type"].startswith("text/event-stream")
    assert told.text.count("event: video\n") == 1 and '"status": "completed"' in told.text
