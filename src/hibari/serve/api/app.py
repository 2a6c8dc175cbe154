"""The ASGI application: routes from the table of operations, one error body, and what every answer carries.

A function of its service alone. Starlette's routing is used directly: the requests are read by hand, since forms and
JSON share one validator, and nothing of a framework's own errors or pages may reach a client.
"""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hibari.errors import HibariError
from hibari.serve.api.call import Operation
from hibari.serve.api.errors import LOG, ApiError, answer
from hibari.serve.api.guard import admit
from hibari.serve.api.openapi import document
from hibari.serve.api.operations import operations
from hibari.serve.api.service import Service
from hibari.serve.journal import about

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NO_STORE = (b"cache-control", b"no-store")
_AGAIN_S = 5.0
# A proxy may have believed the other one: what follows on this connection is nobody's request (RFC 9112, section 6.1).
_TWO_LENGTHS = {b"content-length", b"transfer-encoding"}


async def _kept_up(run: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event) -> None:
    """Run a loop again where a fault of ours ends it: the API goes on, and the log says what happened."""
    while not stop.is_set():
        try:
            await run(stop)
        except Exception:  # noqa: BLE001  # whatever it was, the API outlives it
            LOG.exception("a loop of the service failed and is started again")
            await asyncio.sleep(_AGAIN_S)


def create_app(service: Service) -> ASGIApp:
    """The whole API over a service, which it closes when it ends."""
    table = operations()
    described = json.dumps(document(table)).encode()

    async def openapi(request: Request) -> Response:  # noqa: ARG001  # a route's signature
        return Response(described, media_type="application/json")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(_kept_up(service.outbox.run, stop))
                loops.create_task(_kept_up(service.sweeper.run, stop))
                yield
                stop.set()
        finally:
            service.close()

    app = Starlette(
        routes=[
            *(Route(one.path, _endpoint(service, one), methods=[one.method]) for one in table),
            Route("/openapi.json", openapi, methods=["GET"]),
        ],
        lifespan=lifespan,
        exception_handlers={
            ApiError: answer,
            HibariError: answer,
            HTTPException: answer,
            ClientDisconnect: answer,
            Exception: answer,
        },
    )
    app.router.redirect_slashes = False  # a POST that is sent elsewhere loses its body with some clients
    return Outermost(app, service)


def _endpoint(service: Service, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope["hibari.operation"] = operation.id
        call = await admit(service, request, operation)
        return await operation.handler(call)

    return endpoint


class Outermost:
    """Around everything, faults too: the request's id, the headers of every answer, one line of log, one count.

    A fault that the framework answered is raised again by it, for servers to print: it ends here, where it is logged.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        id, started, status = _request_id(scope), time.perf_counter(), 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", id.encode()), *_HEADERS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                if {name for name, _ in scope["headers"]} >= _TWO_LENGTHS:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
                self._count(scope, status, time.perf_counter() - started)
            await send(message)

        with about(request_id=id):
            try:
                await self._app(scope, receive, marked)
            except Exception:
                if not status:
                    raise
                LOG.exception("an answer broke off")
            finally:
                _log(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        self._service.meters.count(scope.get("hibari.operation", "none"), status, seconds, scope.get("hibari.code"))


def _request_id(scope: Scope) -> str:
    """The id that a proxy before us gave, where it can stand in a log, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(given := value.decode("latin-1")):
            return given
    return f"req_{secrets.token_hex(12)}"


def _log(scope: Scope, status: int, seconds: float) -> None:
    if not LOG.isEnabledFor(logging.INFO):
        return
    about = {
        "operation": scope.get("hibari.operation"),
        "method": scope["method"],
        "status": status or int(HTTPStatus.INTERNAL_SERVER_ERROR),
        "code": scope.get("hibari.code"),
        "user": scope.get("hibari.user"),
        "ms": round(seconds * 1000, 1),
    }
    LOG.info("request", extra=about)
