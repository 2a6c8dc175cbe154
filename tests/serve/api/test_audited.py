"""What is done and its line in the audit log stand or fall together. About 6 seconds, half of them the model's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_house import Api, api, fault
from clips import upload
from hibari.access.quota import usage
from hibari.store import tables

VIDEO = {"prompt": "a fox turns"}
HOOK = {"name": "mine", "url": "https://example.org/h", "event_types": ["video.failed"]}
VIDEOS, HOOKS, CHARACTERS = "/v1/videos", "/v1/webhook_endpoints", "/v1/videos/characters"


@pytest.fixture
def house(home: Path, tmp_path: Path) -> Iterator[Api]:
    with api(home, tmp_path / "api", jobs_at_once=2) as opened:
        yield opened


def allowed(house: Api) -> list[tuple[str, str, str]]:
    """What the log says was done, the newest first."""
    entries = house.service.audit.list(limit=100)
    return [(one.action, one.resource, one.reason) for one in entries if one.allowed]


def lose_the_log(house: Api) -> None:
    with house.service.store.writing() as connection:
        tables.audit.drop(connection)


def test_nothing_is_done_that_the_log_does_not_take(house: Api, tmp_path: Path) -> None:
    clip = upload(tmp_path / "me.mp4").read_bytes()
    sent: Any = {"name": (None, "Pip"), "video": ("me.mp4", clip), "consent": (None, "adults")}
    video = house.create()["id"]
    character = house.post(CHARACTERS, files=sent).json()["id"]
    hook = house.post(HOOKS, json=HOOK).json()
    before = {name for name, _ in house.service.blobs.names()}
    lose_the_log(house)
    for method, path, more in (
        ("DELETE", f"{VIDEOS}/{video}", {}),
        ("DELETE", f"{CHARACTERS}/{character}", {}),
        ("DELETE", f"{HOOKS}/{hook['id']}", {}),
        ("POST", f"{HOOKS}/{hook['id']}", {"json": {"name": "another"}}),
        ("POST", f"{HOOKS}/{hook['id']}/rotate_secret", {"json": {}}),
        ("POST", HOOKS, {"json": HOOK}),
        ("POST", CHARACTERS, {"files": sent}),
        ("POST", VIDEOS, {"json": VIDEO}),
        ("POST", "/v1/images/generations", {"json": VIDEO}),
    ):
        fault(house.ask(method, path, **more), 503, "server_error")
    assert [one["id"] for one in house.get(VIDEOS).json()["data"]] == [video]
    assert [one["id"] for one in house.get(CHARACTERS).json()["data"]] == [character]
    assert house.get(HOOKS).json()["data"] == [{name: hook[name] for name in hook if name != "signing_secret"}]
    assert {name for name, _ in house.service.blobs.names()} == before


def test_what_is_done_is_in_the_log_once(house: Api) -> None:
    made = house.create()
    assert house.ask("DELETE", f"{VIDEOS}/{made['id']}").status_code == 200
    hook = house.post(HOOKS, json=HOOK).json()["id"]
    assert allowed(house) == [
        ("webhook.manage", f"webhook_endpoint/{hook}", "done"),
        ("video.delete", f"video/{made['id']}", "done"),
        ("video.create", f"video/{made['id']}", "asked for"),
    ]
    fault(house.post(f"{HOOKS}/we_{0:024x}/rotate_secret", json={}), 404, "not_found", "endpoint_id")
    assert len(allowed(house)) == 3


def test_what_is_over_a_quota_leaves_no_line_and_no_file(
    house: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is only ever added to: whoever asks in vain must not make it grow, nor write a file each time."""
    house.create(), house.create()
    put = list[str]()
    monkeypatch.setattr(house.service.blobs, "put", lambda name, _: put.append(name))
    before, spent = allowed(house), usage(house.service.store, "ann")
    clip = upload(tmp_path / "me.mp4").read_bytes()
    edit = {"prompt": (None, "a fox turns"), "video": ("me.mp4", clip)}
    fault(house.post(f"{VIDEOS}/edits", files=edit), 429, "too_many_jobs")
    fault(house.post("/v1/images/generations", json=VIDEO), 429, "too_many_jobs")
    assert allowed(house) == before and not put and usage(house.service.store, "ann") == spent
