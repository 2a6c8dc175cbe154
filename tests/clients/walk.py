"""A whole walk through the API with the `openai` client that this Python finds: what it saw, as lines of JSON.

A program for its own process, started by `walking.py` with one argument of JSON: where the API is, a key, another
user's key, a picture and a clip. It checks nothing; the test that reads its lines does. After its "endpoint" line it
reads one line: an event as the service signs it.
"""

import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import openai

warnings.filterwarnings("ignore", message="The Sora API is scheduled", category=DeprecationWarning)
QUICK = {"num_inference_steps": 1, "num_frames": 5, "seed": 7}
LITTLE = {"num_inference_steps": 1, "seed": 7}


def say(step: str, **seen: Any) -> None:
    print(json.dumps({"step": step, **seen}), flush=True)  # noqa: T201  # its output is what it is for


def shown(video: Any) -> dict[str, Any]:
    """A Video object as the client parsed it, with the fields that the client does not know."""
    return video.to_dict()


def done(client: openai.OpenAI, video: Any) -> dict[str, Any]:
    return shown(client.videos.poll(video.id, poll_interval_ms=200))


def failing(name: str, ask: Callable[[], Any]) -> None:
    """What the client raises, in its own words."""
    try:
        ask()
    except openai.APIStatusError as error:
        kind, id = type(error).__name__, bool(error.request_id)
        say(
            "error",
            name=name,
            kind=kind,
            status=error.status_code,
            code=error.code,
            param=error.param,
            message=error.message,
            has_request_id=id,
        )
    except (RuntimeError, TypeError) as error:
        say("error", name=name, kind=type(error).__name__, message=str(error))
    else:
        say("error", name=name, kind=None)


def make(client: openai.OpenAI, given: dict[str, Any]) -> dict[str, Any]:
    video = client.videos.create_and_poll(
        model="sora-2",
        prompt="a fox runs over the meadow",
        seconds="4",
        size="1280x720",
        extra_body=QUICK,
        poll_interval_ms=200,
    )
    say("create", video=shown(video), request_id=bool(video._request_id))
    say("retrieve", video=shown(client.videos.retrieve(video.id)))
    pictured = client.videos.create(
        prompt="a fox runs", size="480x288", input_reference=given["picture_bytes"], extra_body=QUICK
    )
    answer = client.videos.with_raw_response.retrieve(pictured.id)
    say("queued", video=shown(pictured), poll_ms=answer.headers.get("openai-poll-after-ms"))
    failing("content that is not ready", lambda: client.videos.download_content(pictured.id))
    say("pictured", video=done(client, pictured))
    return {"id": video.id, "other": pictured.id}


def read(client: openai.OpenAI, ids: dict[str, Any]) -> None:
    for variant in ("video", "thumbnail", "spritesheet"):
        content = client.videos.download_content(ids["id"], variant=variant)
        kind, data = content.response.headers["content-type"], content.read()
        say("content", variant=variant, type=kind, size=len(data), head=data[:12].hex())
    with client.videos.with_streaming_response.download_content(ids["id"]) as stream:
        say("streamed", size=sum(len(part) for part in stream.iter_bytes()))
    pages = list(client.videos.list(limit=1, order="asc").iter_pages())
    say("list", ids=[video.id for page in pages for video in page.data], pages=len(pages))


def remake(client: openai.OpenAI, ids: dict[str, Any], given: dict[str, Any]) -> None:
    remix = client.videos.remix(ids["other"], prompt="a fox in the snow", extra_body=LITTLE)
    by_id = {"video": {"id": ids["other"]}} | LITTLE
    edit = client.videos.edit(prompt="a fox in the fog", video=openai.omit, extra_body=by_id)
    longer = client.videos.extend(prompt="the fox stops", seconds="0.25", video=openai.omit, extra_body=by_id)
    clip = given["clip_bytes"]
    upload = client.videos.edit(prompt="a fox at night", video=clip, extra_body=LITTLE | {"consent": "nobody"})
    for step, video in (("remix", remix), ("edit", edit), ("extend", longer), ("edit of a file", upload)):
        say(step, of=ids["other"], video=done(client, video))
    failing("an id that the client refuses", lambda: client.videos.edit(prompt="x", video={"id": ids["other"]}))


def characters(client: openai.OpenAI, given: dict[str, Any]) -> None:
    statement = {"consent": "nobody"}
    made = client.videos.create_character(name="Pip", video=given["picture_bytes"], extra_body=statement)
    say("character", id=made.id, name=client.videos.get_character(made.id).name)
    used = client.videos.create(
        prompt="Pip runs over the meadow", size="480x288", extra_body=QUICK | {"characters": [made.id]}
    )
    say("character used", video=done(client, used))


def around(client: openai.OpenAI) -> None:
    say("models", ids=[model.id for model in client.models.list()], one=client.models.retrieve("sora-2").id)
    picture = client.images.generate(prompt="a panda on a meadow", size="384x384", extra_body=LITTLE)
    say("image", count=len(picture.data), head=picture.data[0].b64_json[:12])
    result = client.moderations.create(input=["a panda on a meadow", "a fox"])
    categories = sorted(result.results[0].categories.to_dict())
    say("moderation", flagged=[one.flagged for one in result.results], categories=categories)


def webhooks(client: openai.OpenAI) -> None:
    hooks = getattr(client.webhooks, "create", None)
    url, types = "https://hooks.invalid/video", ["video.completed", "video.failed"]
    if hooks is None:  # endpoints came with 3.x
        made = client.post(
            "/webhook_endpoints", body={"name": "me", "url": url, "event_types": types}, cast_to=dict[str, Any]
        )
    else:
        endpoint = client.webhooks.create(name="me", url=url, event_types=types)
        listed = [one.id for one in client.webhooks.list()]
        made = endpoint.to_dict() | {"listed": listed == [endpoint.id]}
    say("endpoint", id=made["id"], typed=hooks is not None, listed=made.get("listed"))
    sent = json.loads(sys.stdin.readline())
    event = client.webhooks.unwrap(sent["body"], sent["headers"], secret=made["signing_secret"])
    say("unwrapped", type=event.type, video=event.data.id)
    try:
        client.webhooks.unwrap(sent["body"] + " ", sent["headers"], secret=made["signing_secret"])
    except openai.InvalidWebhookSignatureError as error:
        say("changed", kind=type(error).__name__)
    path = f"/webhook_endpoints/{made['id']}"
    say("endpoint deleted", deleted=client.delete(path, cast_to=dict[str, Any])["deleted"])


def errors(client: openai.OpenAI, ids: dict[str, Any], given: dict[str, Any]) -> None:
    def client_of(key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=given["url"], api_key=key, max_retries=0)

    with client_of("hk-wrong") as stranger, client_of(given["other_key"]) as other:
        failing("a wrong key", lambda: stranger.videos.create(prompt="a fox"))
        failing("another's", lambda: other.videos.retrieve(ids["id"]))
    failing("an unknown field", lambda: client.videos.create(prompt="a fox", extra_body={"colour": "red"}))
    failing("no size", lambda: client.videos.create(prompt="a fox", size="big"))
    failing("no picture", lambda: client.videos.create(prompt="a fox", input_reference=io.BytesIO(b"just words")))


def main() -> None:
    given = json.loads(sys.argv[1])
    with open(given["picture"], "rb") as picture, open(given["clip"], "rb") as clip:  # noqa: PTH123
        given |= {"picture_bytes": picture.read(), "clip_bytes": clip.read()}
    say("client", version=openai.__version__)
    started = time.monotonic()
    with openai.OpenAI(base_url=given["url"], api_key=given["key"], max_retries=0) as client:
        ids = make(client, given)
        read(client, ids)
        remake(client, ids, given)
        characters(client, given)
        around(client)
        webhooks(client)
        errors(client, ids, given)
        gone = client.videos.delete(ids["id"])
        say("delete", id=gone.id, object=gone.object, deleted=gone.deleted)
        failing("deleted", lambda: client.videos.retrieve(ids["id"]))
    say("end", seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
