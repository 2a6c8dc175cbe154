"""One request on its way: who asks, through which operation, of which service. Handlers get this and nothing else."""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from anyio import to_thread
from python_multipart.multipart import parse_options_header
from sqlalchemy import Connection
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from hibari.access import STRANGER, Action, Actor, Decision, Resource, decide
from hibari.access.audit import append
from hibari.errors import InvalidRequest
from hibari.serve.api.errors import ApiError, invalid, not_found, too_many
from hibari.serve.api.gates import network
from hibari.serve.api.uploads import Shelf, too_large
from hibari.serve.api.wire import MAX_FIELDS, MAX_FILES, Fields, form_fields, json_fields
from hibari.store.idempotency import RequestKey
from hibari.store.queue import Note

if TYPE_CHECKING:
    from hibari.serve.api.service import Service

_ROOM_FOR_THE_REST = 2 << 20  # bytes of a form beside its file
DEFAULT_PAGE, MAX_PAGE = 20, 100
DENIALS_A_MINUTE = 60  # of a user, each of which is written down
_TAIL = 512
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CHARSETS = (b"utf-8", b"utf8", b"us-ascii")  # Python knows others, some of which take forever
_IDLE_S, _SMALL_S, _WHOLE_S = 30.0, 60.0, 900.0  # without a byte, and for the whole of a small or another body
_SMALL = 256 << 10
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

    @property
    def party(self) -> str:
        """Who is counted at the gates: a user, or a stranger's network."""
        return network(self.request) if self.actor is STRANGER else self.actor.user

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """A query parameter; raises ApiError where it is given twice."""
        values = self.request.query_params.getlist(name)
        if len(values) > 1:
            raise ApiError(400, "It is given twice.", code="invalid_value", param=name)
        return values[0] if values else None

    async def idempotency_key(self, fields: Fields) -> RequestKey | None:
        """The key of the request, and what it stands for: route, fields and files. Raises InvalidRequest."""
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return None
        if not _KEY.fullmatch(key):
            hint = "Give 1 to 255 printable characters without spaces."
            raise InvalidRequest("It cannot be a key.", option="Idempotency-Key", hint=hint)
        digest = await to_thread.run_sync(fields.digest)
        said = f"{self.request.method} {self.request.url.path}\n{digest}"
        return key, hashlib.sha256(said.encode()).hexdigest()

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
        uploads, gates = self.service.uploads, self.service.gates
        most = uploads.max_bytes + _ROOM_FOR_THE_REST
        announced = _announced(self.request)
        if announced is not None and announced > most:
            raise too_large(uploads.max_bytes)
        is_small = announced is not None and announced <= _SMALL
        body = _Body(self.request.receive, most, uploads.max_bytes, _SMALL_S if is_small else _WHOLE_S)
        request = Request(self.request.scope, body.receive)
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        lane = gates.strange if self.actor is STRANGER else gates.probing
        async with AsyncExitStack() as stack:
            stack.enter_context(gates.bodies.inside(self.party))
            if not is_small:
                stack.enter_context(gates.large.inside(self.party))
            shelf = await stack.enter_async_context(uploads.keeping(lane, self.party))
            if kind == "application/json" or kind.endswith("+json"):
                body.limit(_MOST_JSON_OF_STRANGERS if self.actor is STRANGER else _MAX_PART)
                yield await to_thread.run_sync(json_fields, await request.body()), shelf
            elif kind in ("multipart/form-data", "application/x-www-form-urlencoded") and self.operation.forms:
                if kind == "multipart/form-data":
                    body.expect_close(request.headers["content-type"])
                yield await _read_form(request, shelf), shelf
            elif not kind and not await request.body():
                yield Fields({}), shelf
            else:
                allowed = "JSON or a form" if self.operation.forms else "JSON"
                text = f"The body has to be {allowed}, and its content-type has to say so."
                raise ApiError(415, text, code="unsupported_media_type")

    async def permit(self, owner: str, id: str | None, param: str, action: Action | None = None) -> None:
        """Raise ApiError where the actor may not do this to that thing; 404 where they may not know of it.

        `param` is what named it; of a list there is no id.
        """
        asked = action or self.operation.action
        assert asked is not None
        resource = Resource(kind=self.operation.kind, owner=owner, id=id)
        decision = decide(self.actor, asked, resource)
        if not decision.allowed:
            await self.refuse(resource, decision, asked)
            raise not_found(resource.kind, param) if decision.hidden else denied(decision)

    async def absent(self, id: str, param: str, action: Action | None = None) -> NoReturn:
        """Raise what another's thing would: the same 404 after the same work, so that neither tells of the other."""
        decision = Decision(allowed=False, reason="there is none of this id", hidden=True)
        await self.refuse(Resource(kind=self.operation.kind, id=id), decision, action)
        raise not_found(self.operation.kind, param)

    async def refuse(self, resource: Resource, decision: Decision, action: Action | None = None) -> None:
        """Write a denial into the audit log, once there is room for it: nobody fills the log by asking in vain."""
        after_s = self.service.limiter.take("denied", self.actor.user, DENIALS_A_MINUTE)
        if after_s > 0:
            raise too_many("Too many requests for what is not yours. Slow down.", "rate_limit_exceeded", after_s)
        await self.note(resource, decision, action)

    async def note(self, resource: Resource, decision: Decision, action: Action | None = None) -> None:
        """Write a decision into the audit log; raises StoreError."""
        asked = action or self.operation.action
        assert asked is not None
        await to_thread.run_sync(self.service.audit.write, self.actor, asked, resource, decision)

    def noting(self, what: str = "done") -> Note:
        """What writes into the audit log that the actor did this to a thing, in the transaction that does it."""
        action, kind = self.operation.action, self.operation.kind
        assert action is not None

        def note(connection: Connection, id: str) -> None:
            append(connection, self.actor, action, Resource(kind=kind, id=id), Decision(allowed=True, reason=what))

        return note


def denied(decision: Decision) -> ApiError:
    """What somebody with a good key may not do."""
    return ApiError(403, f"You may not do this: {decision.reason}.", code="permission_denied")


def _announced(request: Request) -> int | None:
    """How many bytes a request says that it brings; None where it does not say."""
    if "transfer-encoding" in request.headers:
        return None
    said = request.headers.get("content-length", "0")
    return int(said) if said.isascii() and said.isdecimal() else None


async def _read_form(request: Request, shelf: Shelf) -> Fields:
    _, told = parse_options_header(request.headers["content-type"])
    if told.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise ApiError(415, "A form has to be in UTF-8.", code="unsupported_media_type")
    async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=_MAX_PART) as form:
        items = []
        for name, value in form.multi_items():
            items.append((name, await shelf.keep(value.file) if isinstance(value, UploadFile) else value))
        return form_fields(items)


class _Body:
    """A body as it comes in, which ends in an error where it is longer than anything that is taken, or cut off."""

    def __init__(self, receive: Receive, most: int, told: int, seconds: float) -> None:
        self._receive, self._most, self._told, self._seconds = receive, most, told, seconds
        self._got, self._tail, self._began = 0, b"", time.monotonic()
        self._close: bytes | None = None

    def limit(self, most: int) -> None:
        """Take no more than that, where it is less than what is taken anyway."""
        self._most = min(self._most, most)

    def expect_close(self, content_type: str) -> None:
        """Take a multipart body only with its last boundary; the parser takes one without it for whole.

        The error has to come while the parser reads: only then does it close the file that it had begun.
        """
        _, told = parse_options_header(content_type)
        self._close = b"--" + told[b"boundary"] + b"--" if b"boundary" in told else None  # without one it never reads

    async def receive(self) -> Message:
        """The next message; raises ApiError where it is too much, whatever the header said, or the form's end lacks."""
        try:
            message = await asyncio.wait_for(self._receive(), _IDLE_S)
        except TimeoutError as error:
            raise ApiError(408, "The body does not come.", code="timeout") from error
        if time.monotonic() - self._began > self._seconds:
            raise ApiError(408, "The body takes too long.", code="timeout")
        part = message.get("body", b"")
        self._got += len(part)
        if self._got > self._most:
            raise too_large(self._told)
        self._tail = (self._tail + part)[-_TAIL:]
        is_last = message["type"] == "http.request" and not message.get("more_body", False)
        if is_last and self._close is not None and not self._tail.rstrip().endswith(self._close):
            raise ApiError(400, "The form is cut off.", code="invalid_request")
        return message
