"""Every route of the API, as one table: where it lies, who may use it, what it takes. `app` and `openapi` read it.

Order matters: `edits`, `extensions` and `characters` come before `{video_id}`.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.responses import Response

from hibari.access import Action
from hibari.serve.api import openapi as shapes
from hibari.serve.api.call import Call, Operation
from hibari.serve.api.characters import create_character, delete_character, get_character, list_characters
from hibari.serve.api.content import PREVIEW_VARIANT, VARIANTS, download_content
from hibari.serve.api.events import stream_events
from hibari.serve.api.health import healthz, readyz
from hibari.serve.api.images import generate_images
from hibari.serve.api.metrics import read_metrics
from hibari.serve.api.models import list_models, retrieve_model
from hibari.serve.api.moderation import create_moderation
from hibari.serve.api.openapi import CONSENTS, FILE, IDS, NAME, PROMPT, SAMPLING, SHAPE, SOURCE, TEXT, body
from hibari.serve.api.provenance_checks import check_provenance
from hibari.serve.api.reviews import (
    LONGEST_NOTE,
    WHICH,
    allow_review,
    deny_review,
    download_held,
    list_reviews,
    retrieve_review,
)
from hibari.serve.api.videos import (
    create_video,
    delete_video,
    edit_video,
    extend_video,
    list_videos,
    remix_video,
    retrieve_video,
)
from hibari.serve.api.webhook_routes import (
    create_webhook_endpoint,
    delete_webhook_endpoint,
    list_webhook_endpoints,
    retrieve_webhook_endpoint,
    rotate_webhook_secret,
    test_webhook_endpoint,
    update_webhook_endpoint,
)

_Handler = Callable[[Call], Awaitable[Response]]
_SAID = PROMPT | SAMPLING | CONSENTS | IDS
_VIDEO, _VIDEOS = {"$ref": "#/components/schemas/Video"}, {"$ref": "#/components/schemas/Videos"}
_CHARACTER, _CHARACTERS = {"$ref": "#/components/schemas/Character"}, {"$ref": "#/components/schemas/Characters"}
_LENGTH = {"seconds": SHAPE["seconds"]}
_HOOK = "/v1/webhook_endpoints/{endpoint_id}"


def operations() -> tuple[Operation, ...]:
    """The routes, the more special before the more general."""
    return (*_making(), *_reading(), *_around(), *_reviews(), *_webhooks(), *_operating())


def _of(method: str, path: str, handler: _Handler, action: Action | None, **more: Any) -> Operation:
    return Operation(method=method, path=path, handler=handler, action=action, **more)


def _making() -> tuple[Operation, ...]:
    create = body(_SAID | SHAPE | {"input_reference": shapes.REFERENCE, "end_image": shapes.REFERENCE}, "prompt")
    edit = body(_SAID | _LENGTH | {"video": SOURCE}, "prompt", "video")
    extend = body(_SAID | _LENGTH | {"video": SOURCE}, "prompt", "video", "seconds")
    of_character = body({"name": TEXT | {"maxLength": 80}, "video": FILE} | CONSENTS, "name", "video", "consent")
    remix = body(_SAID | _LENGTH, "prompt")
    takes: dict[str, Any] = {"forms": True, "kind": "video", "answer": _VIDEO}
    keeps: dict[str, Any] = {"forms": True, "body": of_character, "answer": _CHARACTER}
    kept = "/v1/videos/characters"
    of = partial(_of, kind="character")
    return (
        _of("POST", "/v1/videos/edits", edit_video, "video.create", body=edit, **takes),
        _of("POST", "/v1/videos/extensions", extend_video, "video.create", body=extend, **takes),
        of("POST", kept, create_character, "character.create", **keeps),
        of("GET", kept, list_characters, "character.list", query=shapes.LIST_QUERY, answer=_CHARACTERS),
        of("GET", f"{kept}/{{character_id}}", get_character, "character.read", answer=_CHARACTER),
        of("DELETE", f"{kept}/{{character_id}}", delete_character, "character.delete"),
        _of("POST", "/v1/videos", create_video, "video.create", body=create, **takes),
        _of("POST", "/v1/videos/{video_id}/remix", remix_video, "video.extend", body=remix, **takes),
    )


def _reading() -> tuple[Operation, ...]:
    variant = {"variant": {"type": "string", "enum": [*VARIANTS, PREVIEW_VARIANT]}}
    one = "/v1/videos/{video_id}"
    kind, listed = "video", shapes.LIST_QUERY | {"user": NAME}
    return (
        _of("GET", "/v1/videos", list_videos, "video.list", kind=kind, query=listed, answer=_VIDEOS),
        _of("GET", one, retrieve_video, "video.read", kind=kind, answer=_VIDEO),
        _of("DELETE", one, delete_video, "video.delete", kind=kind),
        _of("GET", f"{one}/content", download_content, "video.read", kind=kind, query=variant, media="video/mp4"),
        _of("GET", f"{one}/events", stream_events, "video.read", kind=kind, media="text/event-stream"),
    )


def _around() -> tuple[Operation, ...]:
    sampling = {name: one for name, one in SAMPLING.items() if name != "strength"}
    picture = body(PROMPT | sampling | shapes.PICTURE, "prompt")
    message = body({"input": shapes.MESSAGE, "model": {"type": "string", "minLength": 1}}, "input")
    check: dict[str, Any] = {"forms": True, "kind": "file", "body": body({"file": FILE}, "file")}
    return (
        _of("GET", "/v1/models", list_models, "model.list", kind="model"),
        _of("GET", "/v1/models/{model}", retrieve_model, "model.list", kind="model"),
        _of("POST", "/v1/images/generations", generate_images, "image.create", kind="image", body=picture),
        _of("POST", "/v1/moderations", create_moderation, "moderation.create", kind="moderation", body=message),
        _of("POST", "/v1/content_provenance_checks", check_provenance, "provenance.check", **check),
    )


def _reviews() -> tuple[Operation, ...]:
    one, which = "/v1/reviews/{review_id}", {"which": {"type": "string", "enum": [*WHICH]}}
    word = body({"reason": TEXT | {"maxLength": LONGEST_NOTE}}, "reason")
    of = partial(_of, action="review.decide", kind="review")
    return (
        of("GET", "/v1/reviews", list_reviews, query=shapes.LIST_QUERY),
        of("GET", one, retrieve_review),
        of("GET", f"{one}/content", download_held, query=which, media="video/mp4"),
        of("POST", f"{one}/allow", allow_review, body=word),
        of("POST", f"{one}/deny", deny_review, body=word),
    )


def _webhooks() -> tuple[Operation, ...]:
    has = {"name": TEXT, "url": TEXT, "event_types": shapes.EVENTS}
    rotate = body({"keep_old_secret_active_for_24_hours": shapes.FLAG})
    test = body({"event_type": shapes.EVENTS["items"]}, "event_type")
    all_of_them = "/v1/webhook_endpoints"
    of = partial(_of, action="webhook.manage", kind="webhook_endpoint")
    return (
        of("POST", all_of_them, create_webhook_endpoint, body=body(has, *has)),
        of("GET", all_of_them, list_webhook_endpoints, query=shapes.LIST_QUERY),
        of("GET", _HOOK, retrieve_webhook_endpoint),
        of("POST", _HOOK, update_webhook_endpoint, body=body(has)),
        of("DELETE", _HOOK, delete_webhook_endpoint),
        of("POST", f"{_HOOK}/rotate_secret", rotate_webhook_secret, body=rotate),
        of("POST", f"{_HOOK}/test", test_webhook_endpoint, body=test),
    )


def _operating() -> tuple[Operation, ...]:
    return (
        _of("GET", "/healthz", healthz, None),
        _of("GET", "/readyz", readyz, None),
        _of("GET", "/metrics", read_metrics, "metrics.read", kind="metrics", media="text/plain"),
    )
