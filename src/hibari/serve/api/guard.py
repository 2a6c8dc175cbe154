"""Who asks, and how often: keys and tokens become actors, and those who knock too often wait."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Lock
from typing import TYPE_CHECKING, Literal

from anyio import to_thread
from starlette.requests import Request

from hibari.access import STRANGER, Actor, Resource, decide
from hibari.access.keys import PREFIX
from hibari.access.oidc import SignInUnavailable, Tokens
from hibari.serve.api.call import Call, Operation, denied
from hibari.serve.api.errors import ApiError, too_many
from hibari.serve.api.gates import network

if TYPE_CHECKING:
    from hibari.serve.api.service import Service

STRANGERS_A_MINUTE, WRONG_KEYS_A_MINUTE = 20, 30
MAX_KNOWN = 10_000  # names of a kind: 3 MB
_MAX_TOKEN = 8192


Knocks = Literal["user", "stranger", "wrong", "denied"]


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Limiter:
    """Token buckets, one for each name of a kind, of this process alone. Safe to use from several threads.

    Of each kind, those seen last are remembered: names that strangers choose push out no user's.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds: dict[Knocks, OrderedDict[str, _Bucket]] = {}
        self._lock = Lock()

    def take(self, kind: Knocks, name: str, a_minute: int) -> float:
        """Count one request of a name; 0, or how many seconds until there is room for it."""
        now = self._clock()
        with self._lock:
            buckets = self._kinds.setdefault(kind, OrderedDict())
            bucket = buckets.get(name)
            if bucket is None:
                bucket = buckets[name] = _Bucket(float(a_minute), now)
                if len(buckets) > MAX_KNOWN:
                    buckets.popitem(last=False)
            buckets.move_to_end(name)
            bucket.left = min(float(a_minute), bucket.left + (now - bucket.at) * a_minute / 60)
            bucket.at = now
            if bucket.left < 1:
                return (1 - bucket.left) * 60 / a_minute
            bucket.left -= 1
            return 0.0

    def give_back(self, kind: Knocks, name: str) -> None:
        """Count one request of a name less, which was none of that kind after all."""
        with self._lock:
            if kind in self._kinds and (bucket := self._kinds[kind].get(name)) is not None:
                bucket.left += 1


async def admit(service: "Service", request: Request, operation: Operation) -> Call:
    """The call of a request whose actor is known, may do this, and does not knock too often; raises ApiError."""
    actor = await identify(service, request, operation)
    request.scope["hibari.user"] = actor.user  # for the log, also of what is refused
    call = Call(service=service, request=request, operation=operation, actor=actor)
    if actor is not STRANGER:
        after = service.limiter.take("user", actor.user, service.settings.service.requests_a_minute)
        _wait(after)
    if operation.action is None:
        return call
    # Whether such an actor may ever do this; whose thing it is comes when the handler has found it.
    resource = Resource(kind=operation.kind, owner=actor.user)
    decision = decide(actor, operation.action, resource)
    if not decision.allowed:
        await call.refuse(resource, decision)
        raise denied(decision)
    return call


async def identify(service: "Service", request: Request, operation: Operation) -> Actor:
    """Who a request is from; raises ApiError for no key, or one that is not good."""
    header = request.headers.get("authorization")
    if header is None:
        return _stranger(service, request, operation)
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_TOKEN:
        raise _wrong_key(service, request, "The Authorization header has to be: Bearer, a space, and a key.")
    if not token.startswith(PREFIX) and service.tokens is not None:
        actor = await _signed_in(service, request, service.tokens, token)
    else:
        actor = await _key_holder(service, request, token)
    if actor is None:
        raise _wrong_key(service, request, "Incorrect API key provided: it is unknown, revoked or expired.")
    return actor


async def _key_holder(service: "Service", request: Request, token: str) -> Actor | None:
    """Whose key this is. One that was never seen counts as wrong until it is found: guesses end before the database."""
    is_new, where = not service.keys.knows(token), network(request)
    if is_new:
        _wait(service.limiter.take("wrong", where, WRONG_KEYS_A_MINUTE))
    try:
        if service.is_sqlite:  # one indexed read of a local file: cheaper than handing it to a thread
            return service.keys.authenticate(token)
        return await to_thread.run_sync(service.keys.authenticate, token, limiter=service.gates.keys)
    finally:
        if is_new:  # a wrong one is counted where it is refused
            service.limiter.give_back("wrong", where)


async def _signed_in(service: "Service", request: Request, tokens: Tokens, token: str) -> Actor | None:
    try:
        return await service.gates.signing_in.run(network(request), lambda: tokens.actor(token))
    except SignInUnavailable as error:  # what stands in the way is in the log, and the operator's to know
        text = "Signing in does not work just now: the issuer cannot be reached. Try again, or use an API key."
        raise ApiError(503, text, code="issuer_unreachable", headers={"retry-after": "10"}) from error


def is_local(request: Request) -> bool:
    """Whether a request came over this machine's loopback, and not through a proxy on it."""
    forwarded = {"forwarded", "x-forwarded-for", "x-real-ip", "via"} & set(request.headers.keys())
    if request.client is None or forwarded:
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _stranger(service: "Service", request: Request, operation: Operation) -> Actor:
    is_open = operation.action is None
    if operation.action == "metrics.read" and is_local(request):
        return LOCAL
    if operation.action == "provenance.check" and service.settings.service.public_checks == "on":
        is_open = True
        _wait(service.limiter.take("stranger", network(request), STRANGERS_A_MINUTE))
    if not is_open:
        raise _wrong_key(service, request, "You didn't provide an API key. Send it as: Authorization: Bearer KEY.")
    return STRANGER


LOCAL = Actor(user="(this machine)", role="auditor", scopes=frozenset({"metrics.read"}))
"""Who asks for the metrics over loopback: they may have those and nothing else."""


def _wrong_key(service: "Service", request: Request, message: str) -> ApiError:
    after = service.limiter.take("wrong", network(request), WRONG_KEYS_A_MINUTE)
    _wait(after)
    return ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})


def _wait(after_s: float) -> None:
    if after_s > 0:
        raise too_many("Too many requests. Slow down, please.", "rate_limit_exceeded", after_s)
