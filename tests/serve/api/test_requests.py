"""What is checked before a job exists, what it counts as, and what a repeated request gets. About 10 seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from api_house import Api, api, fault
from clips import upload
from hibari.access.quota import usage
from hibari.config import ServiceSettings, Settings
from hibari.errors import InvalidRequest
from hibari.serve.api.sampling import NOT_HERE, NOT_ON
from hibari.serve.supervisor import serve

SAID = {"prompt": "a fox turns"}


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    many = {"jobs_at_once": 500, "seconds_a_day": 1e6, "requests_a_minute": 6000}
    with api(home, tmp_path_factory.mktemp("api"), **many) as opened:
        yield opened


def finish(shared: Api, video: dict[str, Any]) -> None:
    """Make a queued video one that is done, as a worker does."""
    queue, name = shared.service.queue, f"{video['id']}/video.mp4"
    while (job := queue.claim("w")).id != video["id"]:
        queue.fail(job, "server_error", "not this one")
    with shared.service.uploads.private_file() as path:
        path.write_bytes(b"x")
        shared.service.blobs.put(name, path)
    assert queue.complete(job, files={"video": name}, generation_id=5, keep_hours=1, latents_hours=1)


def sent(path: Path, **fields: str) -> dict[str, Any]:
    """An edit of a clip, as a form."""
    more = {name: (None, value) for name, value in fields.items()}
    return {"prompt": (None, "fog"), "video": (path.name, path.read_bytes()), "consent": (None, "nobody")} | more


def jobs(shared: Api) -> int:
    return sum(shared.service.queue.depth().values())


@pytest.mark.parametrize("verb", ["remix", "edits", "extensions"])
def test_a_repeated_request_gets_its_video_though_the_source_is_gone(shared: Api, verb: str) -> None:
    source = shared.create(seconds=0.5)
    finish(shared, source)
    path = f"/v1/videos/{source['id']}/remix" if verb == "remix" else f"/v1/videos/{verb}"
    more = {} if verb == "remix" else {"video": {"id": source["id"]}}
    request = SAID | more | ({"seconds": 0.5} if verb == "extensions" else {})
    headers = {"idempotency-key": f"again-{verb}"}
    first = shared.post(path, json=request, headers=headers).json()
    assert first["status"] == "queued", first
    assert shared.ask("DELETE", f"/v1/videos/{source['id']}").status_code == 200
    again = shared.post(path, json=request, headers=headers)
    assert again.status_code == 200 and again.json()["id"] == first["id"]
    assert shared.post(path, json=request).status_code == 404, "without the key it is another request"
    other = shared.post(path, json=request | {"prompt": "snow"}, headers=headers)
    fault(other, 400, "invalid_value", "Idempotency-Key")


def test_what_is_made_is_what_counts(shared: Api, tmp_path: Path) -> None:
    def counted(path: str, **request: Any) -> float:
        store = shared.service.store
        before = usage(store, "root").seconds_today
        answer = shared.post(path, "root", **request)
        assert answer.status_code == 200, answer.text
        return round(usage(store, "root").seconds_today - before, 6)

    source = shared.create("root", seconds=2)
    finish(shared, source)
    by_id = SAID | {"video": {"id": source["id"]}}
    assert counted("/v1/videos", json=SAID | {"seconds": 1.5}) == 1.5
    assert counted(f"/v1/videos/{source['id']}/remix", json=SAID) == 2
    assert counted("/v1/videos/edits", json=by_id) == 2
    assert counted("/v1/videos/edits", json=by_id | {"seconds": "0.5"}) == 0.5, "a part of it"
    assert counted("/v1/videos/extensions", json=by_id | {"seconds": "0.5"}) == 0.5, "what is new"
    clip = upload(tmp_path / "mine.mp4", 18)
    assert counted("/v1/videos/edits", files=sent(clip)) == 1.5
    assert counted("/v1/videos/extensions", files=sent(clip, seconds="1")) == 1


@pytest.mark.parametrize(
    ("frames", "fps", "route", "says"),
    [
        (12, 240, "edits", "240 frames a second, and at most 120"),
        (12, 240, "extensions", "at most 120"),
        (125, 1, "extensions", "longer than 120 s"),
        (125, 1, "edits", "longer than 120 s"),
        (25, 1, "edits", "at most 20"),  # the model's own
        (119, 1, "extensions", "at most 120 are made"),
    ],
)
def test_a_clip_that_no_worker_takes(shared: Api, tmp_path: Path, frames: int, fps: int, route: str, says: str) -> None:
    clip, before = upload(tmp_path / "clip.mp4", frames, fps), jobs(shared)
    more = {"seconds": "2"} if route == "extensions" else {}
    answer = shared.post(f"/v1/videos/{route}", files=sent(clip, **more))
    assert answer.status_code == 400 and says in answer.json()["error"]["message"], answer.text
    assert jobs(shared) == before and not list((shared.service.settings.home / "uploads").iterdir())


def test_sampling_that_takes_effect(shared: Api) -> None:
    off = dict.fromkeys(NOT_ON, False)
    made = shared.create(flow_shift="2.5", num_outputs_per_prompt=1, negative_prompt="fog", **off)
    assert made["flow_shift"] == 2.5
    assert shared.service.queue.find(made["id"]).request["flow_shift"] == 2.5
    assert shared.create()["flow_shift"] is None, "the model's own"


def test_loras_are_named(shared: Api) -> None:
    """The tiny model's own first layer, changed: what a file of the data folder may hold."""
    folder = shared.service.settings.loras_folder
    folder.mkdir(exist_ok=True)
    save_file({"diffusion_model.blocks.0.self_attn.q.diff_b": np.ones(256, np.float32)}, folder / "soft.safetensors")
    made = shared.create(lora={"name": "soft", "scale": 0.5})
    assert shared.service.queue.find(made["id"]).request["loras"] == ["soft:0.5"]
    made = shared.create(lora=[{"name": "soft"}, {"name": "soft", "scale": -1}])
    assert shared.service.queue.find(made["id"]).request["loras"] == ["soft:1.0", "soft:-1.0"]
    for given, code in (
        ({"name": "other"}, "invalid_value"),
        ({"name": "../loras/soft"}, "invalid_value"),
        ({"name": "soft.safetensors"}, "invalid_value"),
        ({"name": "soft:0.5"}, "invalid_value"),
        ({"name": "x" * 300}, "invalid_value"),
        ({"name": "soft", "scale": 11}, "invalid_value"),
        ({"name": "soft", "scale": "1"}, "invalid_type"),
        ({"name": "soft", "path": "/etc/passwd"}, "not_supported"),
        ("soft", "invalid_type"),
        ([], None),
    ):
        answer = shared.post("/v1/videos", json=SAID | {"lora": given})
        if code is not None:
            fault(answer, 400, code, "lora")
            assert str(shared.service.settings.home) not in answer.text


@pytest.mark.parametrize("name", [*NOT_HERE, *NOT_ON])
def test_sampling_that_cannot_take_effect(shared: Api, name: str) -> None:
    value = True if name in NOT_ON else 2
    for path in ("/v1/videos", "/v1/images/generations"):
        fault(shared.post(path, json=SAID | {name: value}), 400, "not_supported", name)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"flow_shift": 0}, "flow_shift", "invalid_value"),
        ({"flow_shift": "much"}, "flow_shift", "invalid_type"),
        ({"num_outputs_per_prompt": 2}, "num_outputs_per_prompt", "invalid_value"),
        ({"negative_prompt": "fog", "guidance_scale": 1}, "negative_prompt", "not_supported"),
        ({"enable_teacache": "perhaps"}, "enable_teacache", "invalid_type"),
    ],
)
def test_sampling_that_is_wrong(shared: Api, fields: dict[str, Any], param: str, code: str) -> None:
    fault(shared.post("/v1/videos", json=SAID | fields), 400, code, param)


@pytest.mark.parametrize(
    ("model", "aliases", "says"),
    [
        ("tiny", "sora-2=huge", "the alias sora-2 leads to 'huge'"),
        ("huge", "sora-2=tiny", "HIBARI_MODEL leads to 'huge'"),
        ("{home}/models/tiny", "sora-2=tiny", "HIBARI_MODEL leads to"),
        ("tiny", "sora-2={home}/models/tiny", "the alias sora-2 leads to"),
    ],
)
def test_names_that_lead_nowhere_are_said_at_the_start(home: Path, model: str, aliases: str, says: str) -> None:
    service = ServiceSettings(aliases=aliases.format(home=home))
    settings = Settings(home=home, model=model.format(home=home), service=service)
    with pytest.raises(InvalidRequest, match=says) as caught:
        serve(settings, host="256.0.0.1", port=0, workers=0)  # an address that could not be listened at
    assert "tiny" in caught.value.hint


def test_a_name_that_nobody_can_make_with_is_a_400(home: Path, tmp_path: Path) -> None:
    folder = home / "models" / "tiny"
    with api(home, tmp_path / "odd", aliases=f"sora-2={folder},mine=gone") as odd:
        for name in ("sora-2", "mine"):
            fault(odd.post("/v1/videos", json=SAID | {"model": name}), 400, "model_not_found", "model")
        assert [one["id"] for one in odd.get("/v1/models").json()["data"] if one["name"] == "tiny"] == ["tiny"]
