"""Another's thing and no thing are one answer, for every route of the table that names one. About 10 seconds."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_house import Api, api
from hibari.access import Audit, Users
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldItem, Reviews
from hibari.serve.api.call import DENIALS_A_MINUTE, Operation
from hibari.serve.api.operations import operations
from queue_jobs import NOON

CLIP = b"\0\0\0\x18ftypmp42" + bytes(16)


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api(home, tmp_path_factory.mktemp("hiding"), jobs_at_once=500, seconds_a_day=1e6) as opened:
        Users(opened.service.store).add("rita", "reviewer")
        opened.keys["rita"], _ = opened.service.keys.create("rita")
        yield opened


def a_video(shared: Api) -> str:
    id: str = shared.create()["id"]
    return id


def a_webhook(shared: Api) -> str:
    new = {"name": "mine", "url": "https://example.com/hook", "event_types": ["video.completed"]}
    id: str = shared.post("/v1/webhook_endpoints", json=new).json()["id"]
    return id


def a_character(shared: Api) -> str:
    from PIL import Image

    path = shared.service.settings.home / "me.png"
    Image.new("RGB", (96, 64), "teal").save(path)
    sent = {"name": (None, "Pip"), "consent": (None, "adults"), "video": ("me.png", path.read_bytes())}
    made = shared.post("/v1/videos/characters", files=sent)
    assert made.status_code == 200, made.text
    id: str = made.json()["id"]
    return id


def a_review(shared: Api) -> str:
    """What was held of a video of ann's, which waits."""
    shared.create()
    job = shared.service.queue.claim("worker")
    assert job is not None and job.user == "ann"
    id = GenerationId(secrets.randbits(48))
    request = {"prompt": job.prompt}
    item = HeldItem(
        id=id, created_at=NOON, user="ann", video=job.id, stage="prompt", request=request, categories={}, reason="r"
    )
    Reviews(shared.service.store).hold(item)
    held = f"{job.id}/held-1.mp4"
    clip = shared.service.settings.home / "held.mp4"
    clip.write_bytes(CLIP)
    shared.service.blobs.put(held, clip)
    waits = {"files": {"held": held}, "request": job.request, "hours": 2}
    assert shared.service.queue.hold(job, "it waits", generation_id=id.value, **waits)
    return str(id)


# What a name in a path names, how there comes to be one that is not bob's, and who sees it. A route with a name that
# is not here fails the test, so that nobody adds one without saying whose its things are.
OWNED: dict[str, tuple[Callable[[Api], str], str]] = {
    "video_id": (a_video, "ann"),
    "character_id": (a_character, "ann"),
    "endpoint_id": (a_webhook, "ann"),
    "review_id": (a_review, "rita"),
}
EVERYBODYS = {"model": "what is installed is told to every user, and is one answer for all"}
ROLES_ALONE = {"review_id"}  # a 403 before the id is looked at: bob's role has none of them


def named(operation: Operation) -> list[str]:
    return [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]


def by_path() -> list[Operation]:
    return [one for one in operations() if named(one) and not EVERYBODYS.keys() & set(named(one))]


def by_body() -> list[Operation]:
    return [
        one
        for one in operations()
        if one.body is not None and "video" in one.body["properties"] and one.id != "create_character"
    ]


def sample(schema: dict[str, Any]) -> Any:
    """A value that a schema of ours takes."""
    if "enum" in schema:
        return schema["enum"][0]
    for form in ("anyOf", "oneOf"):
        if form in schema:
            return sample(schema[form][0])
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    return {"string": "a fox", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}[kind]


def filled(operation: Operation, **more: Any) -> dict[str, Any]:
    """The least body that an operation takes."""
    assert operation.body is not None
    return {name: sample(operation.body["properties"][name]) for name in operation.body.get("required", ())} | more


def asked(shared: Api, operation: Operation, id: str, who: str) -> httpx.Response:
    path = operation.path
    for name in named(operation):
        path = path.replace("{" + name + "}", id)
    more: dict[str, Any] = {"json": filled(operation)} if operation.body is not None else {}
    method = "HEAD" if who != "bob" and operation.media == "text/event-stream" else operation.method  # it goes on
    return shared.ask(method, path, who, headers={"x-request-id": "same"}, **more)


def seen(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return answer.status_code, answer.content, sorted(answer.headers.items())


def never(id: str) -> str:
    """An id of the same form that never was."""
    head, _, rest = id.rpartition("_")
    return f"{head}_{'0' * len(rest)}"


def test_every_name_in_a_path_is_known_here() -> None:
    assert {name for one in operations() for name in named(one)} == OWNED.keys() | EVERYBODYS.keys()


def test_what_is_everybodys_is_one_answer(shared: Api) -> None:
    for operation in operations():
        if EVERYBODYS.keys() & set(named(operation)):
            mine, bobs = asked(shared, operation, "tiny", "ann"), asked(shared, operation, "tiny", "bob")
            assert mine.status_code == 200 and seen(mine) == seen(bobs), operation.id


@pytest.mark.parametrize("operation", by_path(), ids=lambda one: one.id)
def test_a_path_to_anothers_thing_is_a_path_to_nothing(shared: Api, operation: Operation) -> None:
    (name,) = named(operation)
    make, who = OWNED[name]
    shared.service.limiter._kinds.clear()
    id = make(shared)
    anothers, nothing = asked(shared, operation, id, "bob"), asked(shared, operation, never(id), "bob")
    assert seen(anothers) == seen(nothing)
    refused = (403, "permission_denied") if name in ROLES_ALONE else (404, "not_found")
    assert (anothers.status_code, anothers.json()["error"]["code"]) == refused
    assert id not in anothers.text
    mine = asked(shared, operation, id, who)
    assert mine.status_code != 404 or mine.json()["error"]["code"] != "not_found", "what was asked for was there"


@pytest.mark.parametrize("operation", by_body(), ids=lambda one: one.id)
def test_a_body_that_names_anothers_video_names_nothing(shared: Api, operation: Operation) -> None:
    shared.service.limiter._kinds.clear()
    id = a_video(shared)
    said = [
        shared.ask(
            operation.method,
            operation.path,
            "bob",
            json=filled(operation, video={"id": each}),
            headers={"x-request-id": "same"},
        )
        for each in (id, never(id))
    ]
    assert seen(said[0]) == seen(said[1]) and said[0].status_code == 404, said[0].text


def test_both_are_the_same_work_and_nobody_fills_the_log_with_them(shared: Api) -> None:
    id, audit = a_video(shared), Audit(shared.service.store)
    for each in (id, never(id)):
        before = len(audit.list(limit=1000))
        assert shared.get(f"/v1/videos/{each}", "bob").status_code == 404
        assert len(audit.list(limit=1000)) == before + 1, "each is written down"
    answers = [shared.get(f"/v1/videos/{never(id)}", "bob") for _ in range(DENIALS_A_MINUTE + 1)]
    assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1
    assert shared.get("/v1/videos", "bob").status_code == 200
