"""Characters over the API: kept with a statement, listed, used, deleted. About 5 seconds, a third the model's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_house import Api, api, fault
from clips import upload

ALL = "/v1/videos/characters"
SAID = {"prompt": "a fox turns"}


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api(home, tmp_path_factory.mktemp("api"), requests_a_minute=6000, jobs_at_once=100) as opened:
        yield opened


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return upload(tmp_path_factory.mktemp("clip") / "me.mp4").read_bytes()


def keep(shared: Api, clip: bytes, name: str = "Pip", who: str = "ann", **more: Any) -> httpx.Response:
    sent = {"name": (None, name), "video": ("me.mp4", clip), "consent": (None, "adults")}
    return shared.post(ALL, who, files=sent, **more)


def blobs(shared: Api) -> set[str]:
    return {name for name, _ in shared.service.blobs.names()}


def test_a_character_is_kept_with_a_statement(shared: Api, clip: bytes) -> None:
    without = {"name": (None, "Pip"), "video": ("me.mp4", clip)}
    fault(shared.post(ALL, files=without), 400, "missing_required_parameter", "consent")
    made = keep(shared, clip).json()
    assert made.keys() == {"id", "object", "name", "created_at"} and made["name"] == "Pip"
    assert shared.get(f"{ALL}/{made['id']}").json() == made
    assert shared.get(f"{ALL}/{made['id']}", "root").status_code == 200
    fault(shared.get(f"{ALL}/{made['id']}", "bob"), 404, "not_found", "character_id")
    fault(shared.get(f"{ALL}/char_x"), 404, "not_found", "character_id")
    fault(keep(shared, clip, "x" * 81), 400, "string_above_max_length", "name")
    (kept,) = shared.service.characters.owned("ann", [made["id"]])
    assert kept.consent["people"] == "adults" and kept.consent["stated_by"] == "ann"
    assert shared.service.characters.owned("bob", [made["id"]]) == []


def test_pages(shared: Api, clip: bytes) -> None:
    ids = [keep(shared, clip, f"no. {number}", "root").json()["id"] for number in range(3)]
    first = shared.get(f"{ALL}?limit=2", "root").json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    rest = shared.get(f"{ALL}?limit=2&after={first['last_id']}", "root").json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (ids[:1], False)
    up = shared.get(f"{ALL}?order=asc&after={ids[0]}", "root").json()
    assert ([one["name"] for one in up["data"]], up["object"]) == (["no. 1", "no. 2"], "list")
    assert shared.get(ALL, "bob").json()["data"] == [], "another's are not there"
    fault(shared.get(f"{ALL}?after={ids[0]}", "bob"), 400, "invalid_value", "after")
    fault(shared.get(f"{ALL}?after=video_x"), 400, "invalid_value", "after")
    fault(shared.get(ALL, "al"), 403, "permission_denied")


def test_deleting_takes_the_clip_and_says_so_to_who_would_use_it(shared: Api, clip: bytes) -> None:
    made = keep(shared, clip).json()
    file = f"{made['id']}/clip.mp4"
    assert file in blobs(shared)
    video = shared.post("/v1/videos", json=SAID | {"characters": [made["id"]]}).json()
    assert shared.service.queue.find(video["id"]).request["characters"][0]["file"] == file
    fault(shared.ask("DELETE", f"{ALL}/{made['id']}", "bob"), 404, "not_found", "character_id")
    fault(shared.ask("DELETE", f"{ALL}/{made['id']}", "eve"), 403, "permission_denied")
    gone = shared.ask("DELETE", f"{ALL}/{made['id']}").json()
    assert gone == {"id": made["id"], "object": "character.deleted", "deleted": True}
    assert file not in blobs(shared)
    fault(shared.ask("DELETE", f"{ALL}/{made['id']}"), 404, "not_found", "character_id")
    fault(shared.post("/v1/videos", json=SAID | {"characters": [made["id"]]}), 400, "not_found", "characters")
    assert ("character.delete", True) in {(one.action, one.allowed) for one in shared.service.audit.list(limit=9)}


@pytest.mark.parametrize("id", ["\ud800", "\0", "char_x", "char_" + "0" * 24, ""])
def test_what_is_no_id_of_ours_is_nobodys(shared: Api, id: str) -> None:
    """Half a surrogate pair was a fault of ours, and a null byte one of Postgres'."""
    content, kind = json.dumps(SAID | {"characters": [id]}), {"content-type": "application/json"}
    fault(shared.post("/v1/videos", content=content, headers=kind), 400, "not_found", "characters")


def test_no_more_ids_reach_the_database_than_a_model_takes_pictures(shared: Api) -> None:
    ids = [f"char_{number:024x}" for number in range(70_000)]
    fault(shared.post("/v1/videos", json=SAID | {"characters": ids}), 400, "invalid_value", "characters")


def test_a_path_that_is_no_id_goes_into_no_table(shared: Api) -> None:
    before = len(shared.service.audit.list(limit=1000))
    fault(shared.get(f"{ALL}/char_%00"), 404, "not_found", "character_id")
    assert len(shared.service.audit.list(limit=1000)) == before


def test_one_key_makes_one_character(shared: Api, clip: bytes) -> None:
    headers = {"idempotency-key": "pip"}
    first = keep(shared, clip, headers=headers).json()
    before = blobs(shared)
    assert keep(shared, clip, headers=headers).json() == first and blobs(shared) == before
    fault(keep(shared, clip, "Pop", headers=headers), 400, "invalid_value", "Idempotency-Key")
    fault(shared.post("/v1/videos", json=SAID, headers=headers), 400, "invalid_value", "Idempotency-Key")
    shared.ask("DELETE", f"{ALL}/{first['id']}")
    assert keep(shared, clip, "Pop", headers=headers).json()["id"] != first["id"], "the key is free again"


def test_a_clip_that_no_worker_takes_is_no_character(shared: Api, tmp_path: Path) -> None:
    fast = upload(tmp_path / "fast.mp4", 12, 240).read_bytes()
    assert "at most 120" in fault(keep(shared, fast), 400, "invalid_file", "video")


def test_there_are_enough(shared: Api, clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hibari.store.characters.MOST", 1)
    assert keep(shared, clip, who="root").status_code == 400
