"""Webhook endpoints, managed by API: where a user wants to be told of finished videos. The outbox does the telling."""

import re
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hibari.errors import BadMedia
from hibari.serve.api.call import Call
from hibari.serve.api.errors import ApiError, invalid, missing, not_found
from hibari.serve.api.wire import Fields, page, unix
from hibari.store.webhooks import Endpoint

ENDPOINT_ID = re.compile(r"we_[0-9a-f]{24}")


async def create_webhook_endpoint(call: Call) -> Response:
    """A new endpoint, with its signing secret, which is shown this once."""
    async with call.fields() as (fields, _):
        name, url, kinds = fields.text("name", required=True), fields.text("url", required=True), _types(fields)
        fields.finish()
    if kinds is None:
        raise missing("event_types")
    assert name is not None and url is not None
    call.service.outbox.check(url)
    hooks = call.service.webhooks
    endpoint, secret = await to_thread.run_sync(lambda: hooks.create(call.actor.user, name, url, kinds, call.noting()))
    return JSONResponse(_endpoint_object(endpoint) | {"signing_secret": secret})


async def list_webhook_endpoints(call: Call) -> Response:
    """A page of the caller's endpoints, the newest first."""
    asked = call.page_query()
    found = await to_thread.run_sync(call.service.webhooks.list, call.actor.user)
    if asked.order == "desc":
        found = found[::-1]
    if asked.after is not None:
        ids = [endpoint.id for endpoint in found]
        if asked.after not in ids:
            raise invalid("after", "No endpoint of yours has this id. Give last_id of the page before.")
        found = found[ids.index(asked.after) + 1 :]
    data = [_endpoint_object(endpoint) for endpoint in found[: asked.limit]]
    return JSONResponse(page(data, has_more=len(found) > asked.limit))


async def retrieve_webhook_endpoint(call: Call) -> Response:
    """One endpoint, without its secret."""
    endpoint = await to_thread.run_sync(call.service.webhooks.find, call.actor.user, _id(call))
    return JSONResponse(_endpoint_object(_there(endpoint)))


async def update_webhook_endpoint(call: Call) -> Response:
    """Change an endpoint's name, address or events."""
    async with call.fields() as (fields, _):
        changes = {"name": fields.text("name"), "url": fields.text("url"), "event_types": _types(fields)}
        fields.finish()
    given = {name: value for name, value in changes.items() if value is not None}
    if isinstance(url := changes["url"], str):
        call.service.outbox.check(url)
    hooks, id = call.service.webhooks, _id(call)
    endpoint = _there(await to_thread.run_sync(lambda: hooks.update(call.actor.user, id, call.noting(), **given)))
    return JSONResponse(_endpoint_object(endpoint))


async def delete_webhook_endpoint(call: Call) -> Response:
    """Delete an endpoint; what was still to be told there is not told."""
    id = _id(call)
    if not await to_thread.run_sync(call.service.webhooks.delete, call.actor.user, id, call.noting()):
        raise not_found("webhook_endpoint", "endpoint_id")
    return JSONResponse({"id": id, "object": "webhook_endpoint.deleted", "deleted": True})


async def rotate_webhook_secret(call: Call) -> Response:
    """A new signing secret; the old one signs too for a day, where that is asked for."""
    async with call.fields() as (fields, _):
        keep = fields.flag("keep_old_secret_active_for_24_hours") or False
        fields.finish()
    hooks, id = call.service.webhooks, _id(call)
    rotated = await to_thread.run_sync(lambda: hooks.rotate(call.actor.user, id, call.noting(), keep_old=keep))
    if rotated is None:
        raise not_found("webhook_endpoint", "endpoint_id")
    return JSONResponse(_endpoint_object(rotated[0]) | {"signing_secret": rotated[1]})


async def test_webhook_endpoint(call: Call) -> Response:
    """Send a made-up event and answer with the status that came back."""
    async with call.fields() as (fields, _):
        kind = fields.text("event_type", required=True)
        fields.finish()
    assert kind is not None
    hooks, id = call.service.webhooks, _id(call)
    notice = await to_thread.run_sync(lambda: hooks.sample(call.actor.user, id, kind))
    if notice is None:
        raise not_found("webhook_endpoint", "endpoint_id")
    try:
        outward = call.service.gates.outward
        status = await outward.run(call.party, lambda: call.service.outbox.send(notice))
    except BadMedia as error:
        raise ApiError(400, f"It did not answer: {error}", code="webhook_failed") from error
    answer = {"object": "webhook_endpoint.test", "webhook_endpoint_id": id, "event_type": kind}
    return JSONResponse(answer | {"status_code": status, "success": True})


def _id(call: Call) -> str:
    id = call.path("endpoint_id")
    if not ENDPOINT_ID.fullmatch(id):
        raise not_found("webhook_endpoint", "endpoint_id")
    return id


def _types(fields: Fields) -> list[str] | None:
    given = fields.raw("event_types")
    if given is not None and not (isinstance(given, list) and all(isinstance(one, str) for one in given)):
        raise invalid("event_types", 'Give a list, such as ["video.completed"].', "invalid_type")
    return given


def _there(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise not_found("webhook_endpoint", "endpoint_id")
    return endpoint


def _endpoint_object(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "signing_secret_hint": endpoint.secret_hint,
        "created_at": unix(endpoint.created_at),
        "last_error": endpoint.last_error,
    }
