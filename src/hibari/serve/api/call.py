"""One request on its way: who asks, through which operation, of which service. Handlers get this and nothing else."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from anyio import to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from hibari.access import STRANGER, Action, Actor, Decision, Resource, decide
from hibari.serve.api.errors import ApiError, invalid, not_found
from hibari.serve.api.uploads import Shelf, too_large
from hibari.serve.api.wire import MAX_FIELDS, MAX_FILES, Fields, form_fields, json_fields

if TYPE_CHECKING:
    from hibari.serve.api.service import Service

_ROOM_FOR_THE_REST = 2 << 20  # bytes of a form beside its file
DEFAULT_PAGE, MAX_PAGE = 20, 100
_TAIL = 512
_BOUNDARY = re.compile(r'boundary="?([^";]{1,200})"?', re.IGNORECASE)
_IDLE_S, _WHOLE_S = 30.0, 900.0  # without a byte, and for the whole body
_MOST_JSON_OF_STRANGERS = 64 << 10
_MAX_PART = 32 << 20  # of text: a data URL has 20 million characters


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route of the API. `action` is what its actor must be allowed; None: anybody.

    `body`, `query` and `answer` are JSON Schema. With `forms` the body may come as a form too.
    `kind` is what its resource is.
    """

    method: str
    path: str
    handler: "Callable[[Call], Awaitable[Response]]"
    action: Action | None
    kind: str = "service"
    body: dict[str, Any] | None = None
    forms: bool = False
    query: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    media: str = "application/json"

    @property
    def id(self) -> str:
        """The handler's name: one of a kind."""
        return self.handler.__name__


@dataclass(frozen=True, kw_only=True)
class PageQuery:
    """At most `limit` entries past the one of id `after`."""

    limit: int
    after: str | None
    order: Literal["asc", "desc"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that was admitted."""

    service: "Service"
    request: Request
    operation: Operation
    actor: Actor

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """A query parameter; raises ApiError where it is given twice."""
        values = self.request.query_params.getlist(name)
        if len(values) > 1:
            raise ApiError(400, "It is given twice.", code="invalid_value", param=name)
        return values[0] if values else None

    def page_query(self) -> "PageQuery":
        """Which page of a list is asked for; raises ApiError."""
        order, limit = self.query("order") or "desc", self.query("limit")
        if order not in ("asc", "desc"):
            raise invalid("order", "Allowed: asc, desc.")
        if limit is not None and not (re.fullmatch("[0-9]{1,3}", limit) and int(limit) <= MAX_PAGE):
            raise invalid("limit", f"Give 0 to {MAX_PAGE}.")
        count = DEFAULT_PAGE if limit is None else int(limit)
        return PageQuery(limit=count, after=self.query("after"), order="asc" if order == "asc" else "desc")

    @asynccontextmanager
    async def fields(self) -> AsyncIterator[tuple[Fields, Shelf]]:
        """What the request says, from JSON or a form, and a shelf for its files, which go with the block."""
        uploads = self.service.uploads
        most = uploads.max_bytes + _ROOM_FOR_THE_REST
        if int(self.request.headers.get("content-length", "0")) > most:
            raise too_large(uploads.max_bytes)
        body = _Body(self.request.receive, most, uploads.max_bytes)
        request = Request(self.request.scope, body.receive)
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        async with uploads.keeping() as shelf:
            if kind == "application/json" or kind.endswith("+json"):
                body.limit(_MOST_JSON_OF_STRANGERS if self.actor is STRANGER else _MAX_PART)
                yield await to_thread.run_sync(json_fields, await request.body()), shelf
            elif kind in ("multipart/form-data", "application/x-www-form-urlencoded") and self.operation.forms:
                fields = await _read_form(request, shelf)
                if kind == "multipart/form-data" and not body.is_closed(request.headers["content-type"]):
                    raise ApiError(400, "The form is cut off.", code="invalid_request")
                yield fields, shelf
            elif not kind and not await request.body():
                yield Fields({}), shelf
            else:
                allowed = "JSON or a form" if self.operation.forms else "JSON"
                text = f"The body has to be {allowed}, and its content-type has to say so."
                raise ApiError(415, text, code="unsupported_media_type")

    async def permit(self, owner: str, id: str, param: str, action: Action | None = None) -> None:
        """Raise ApiError where the actor may not do this to that thing; 404 where they may not know of it.

        `param` is what named it.
        """
        asked = action or self.operation.action
        assert asked is not None
        resource = Resource(kind=self.operation.kind, owner=owner, id=id)
        decision = decide(self.actor, asked, resource)
        if not decision.allowed:
            await self.note(resource, decision, asked)
            raise not_found(resource.kind, param) if decision.hidden else denied(decision)

    async def note(self, resource: Resource, decision: Decision, action: Action | None = None) -> None:
        """Write a decision into the audit log; raises StoreError."""
        asked = action or self.operation.action
        assert asked is not None
        await to_thread.run_sync(self.service.audit.write, self.actor, asked, resource, decision)

    async def done(self, id: str, what: str = "done") -> None:
        """Write into the audit log that the actor did this to a thing of their own (or was allowed to)."""
        reason = Decision(allowed=True, reason=what)
        await self.note(Resource(kind=self.operation.kind, owner=self.actor.user, id=id), reason)


def denied(decision: Decision) -> ApiError:
    """What somebody with a good key may not do."""
    return ApiError(403, f"You may not do this: {decision.reason}.", code="permission_denied")


async def _read_form(request: Request, shelf: Shelf) -> Fields:
    async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=_MAX_PART) as form:
        items = []
        for name, value in form.multi_items():
            items.append((name, await shelf.keep(value.file) if isinstance(value, UploadFile) else value))
        return form_fields(items)


class _Body:
    """A body as it comes in, which ends in an error where it is longer than anything that is taken, or cut off."""

    def __init__(self, receive: Receive, most: int, told: int) -> None:
        self._receive, self._most, self._told = receive, most, told
        self._got, self._tail, self._began = 0, b"", time.monotonic()

    def limit(self, most: int) -> None:
        """Take no more than that, where it is less than what is taken anyway."""
        self._most = min(self._most, most)

    async def receive(self) -> Message:
        """The next message; raises ApiError where it is too much, whatever the header said."""
        try:
            message = await asyncio.wait_for(self._receive(), _IDLE_S)
        except TimeoutError as error:
            raise ApiError(408, "The body does not come.", code="timeout") from error
        if time.monotonic() - self._began > _WHOLE_S:
            raise ApiError(408, "The body takes too long.", code="timeout")
        part = message.get("body", b"")
        self._got += len(part)
        if self._got > self._most:
            raise too_large(self._told)
        self._tail = (self._tail + part)[-_TAIL:]
        return message

    def is_closed(self, content_type: str) -> bool:
        """Whether a multipart body had its last boundary; the parser takes one without it for whole."""
        found = _BOUNDARY.search(content_type)
        return found is not None and self._tail.rstrip().endswith(f"--{found[1]}--".encode("latin-1"))
