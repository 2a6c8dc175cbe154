"""Signing in with OpenID Connect: a token that the operator's issuer signed for this service becomes an actor.

Only checking is done here; getting a token is between a person, their client and the issuer. Source: OpenID Connect
Core 1.0 section 3.1.3.7, Discovery 1.0 section 4.3, RFC 8725.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import jwt
from sqlalchemy import Connection

from hibari.access.actors import ROLES, Actor, Role, User, Users
from hibari.access.audit import append
from hibari.access.rules import Decision, Resource
from hibari.errors import HibariError, InvalidRequest

ALGORITHMS = {"RS256": "RSA", "ES256": "EC"}  # and the type of key that each needs
ROLE_CLAIM = "hibari_role"
WAIT_S = 5.0
KEYS_HOLD_S = 3600.0
ASKED_AGAIN_AFTER_S = 60.0  # for a key that is not known: strangers must not make us knock at the issuer's door
FAILURE_HOLDS_S = 10.0  # an issuer that is down is left alone for so long
LEEWAY_S = 30
MAX_BYTES = 1 << 20
MAX_TOKEN = 16_384
_LOG = logging.getLogger(__name__)
_NAMES = ("preferred_username", "email", "sub")


class SignInUnavailable(HibariError):
    """The issuer cannot be reached, or does not say what an issuer says: nobody signs in until it does."""


@dataclass(frozen=True, kw_only=True)
class _KeySet:
    fetched_at: float
    keys: tuple[jwt.PyJWK, ...]


class Tokens:
    """The tokens of one issuer for one audience. Safe to use from several threads; asks the network, so do not await.

    `clock` counts seconds. Raises InvalidRequest for an issuer that is not https (http is for this machine alone).
    """

    def __init__(
        self, issuer: str, audience: str, users: Users, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not _is_safe(issuer):
            raise InvalidRequest(
                f"{issuer!r} is no issuer.", option="oidc_issuer", hint="Give its https:// address, without a query."
            )
        self.issuer = issuer
        self.audience = audience
        self._users = users
        self._clock = clock
        self._known: _KeySet | None = None
        self._asked_at = float("-inf")
        self._failure: SignInUnavailable | None = None
        self._asking = Lock()

    def actor(self, token: str) -> Actor | None:
        """Whose token this is; None where it does not hold, states a role that is none, or its user is disabled.

        A user is made at first sight. Raises SignInUnavailable, StoreError.
        """
        claims = self._claims(token)
        if claims is None:
            return None
        stated = claims.get(ROLE_CLAIM)
        if stated is not None and stated not in ROLES:
            return None
        preferred = next((name for key in _NAMES if isinstance(name := claims.get(key), str)), "")
        user = self._users.sign_in(f"{self.issuer} {claims['sub']}", preferred, cast(Role | None, stated), self._note)
        return None if user.disabled else Actor(user=user.name, role=user.role, limits=user.limits)

    def _claims(self, token: str) -> dict[str, Any] | None:
        """What a token states, where its signature, issuer, audience and times hold."""
        if len(token) > MAX_TOKEN:
            return None
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        key = self._key(header.get("kid"), header.get("alg"))
        if key is None:
            return None
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            return None

    def _key(self, id: object, algorithm: object) -> jwt.PyJWK | None:
        """The issuer's key of that id; without an id the only one of its kind."""
        if algorithm not in ALGORITHMS:
            return None
        known = self._known
        found = _pick(known, id, algorithm) if known is not None else None
        holds = known is not None and self._clock() - known.fetched_at < KEYS_HOLD_S
        if found is not None and holds:
            return found
        # One thread asks the issuer. While it does, whoever has a key of the last hour's goes on with it, and only
        # where no key is known at all do others wait.
        if not self._asking.acquire(blocking=known is None):
            if found is not None:
                return found
            raise SignInUnavailable(f"{self.issuer} is being asked for its keys.", hint="Try again.")
        try:
            return _pick(self._current(ASKED_AGAIN_AFTER_S if holds else FAILURE_HOLDS_S), id, algorithm)
        finally:
            self._asking.release()

    def _current(self, rest_s: float) -> _KeySet:
        """The issuer's keys, asked for unless that was tried in the last `rest_s`; raises SignInUnavailable."""
        now, known = self._clock(), self._known
        if now - self._asked_at >= rest_s:
            self._asked_at, self._failure = now, None
            try:
                self._known = known = self._fetched(now)
            except SignInUnavailable as error:
                _LOG.warning("nobody can sign in anew: %s", error)
                self._failure = error
        if self._failure is not None:
            raise SignInUnavailable(self._failure.message, hint=self._failure.hint)
        assert known is not None, "asked, and did not fail"
        return known

    def _fetched(self, now: float) -> _KeySet:
        """The keys that the issuer signs with today; raises SignInUnavailable."""
        with httpx.Client(timeout=WAIT_S, follow_redirects=False) as client:
            about = _document(client, self.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if about.get("issuer") != self.issuer:
                raise SignInUnavailable(
                    f"{self.issuer} calls itself {about.get('issuer')!r}.", hint="Set HIBARI_OIDC_ISSUER to just that."
                )
            address = about.get("jwks_uri")
            if not isinstance(address, str) or not _is_safe(address):
                raise SignInUnavailable(f"{self.issuer} names no address of its keys that can be trusted.")
            listed = _document(client, address).get("keys")
        if not isinstance(listed, list):
            raise SignInUnavailable(f"{self.issuer} lists no keys.")
        return _KeySet(fetched_at=now, keys=tuple(key for each in listed if (key := _read(each)) is not None))

    def _note(self, connection: Connection, user: User) -> None:
        reason = f"signed in at the issuer, as {user.role}"
        decision = Decision(allowed=True, reason=reason)
        actor = Actor(user=user.name, role=user.role)
        append(connection, actor, "user.manage", Resource(kind="user", owner=user.name, id=user.name), decision)


def _pick(known: _KeySet, id: object, algorithm: object) -> jwt.PyJWK | None:
    fit = [key for key in known.keys if key.algorithm_name == algorithm and id in (None, key.key_id)]
    return fit[0] if len(fit) == 1 else None


def _read(listed: object) -> jwt.PyJWK | None:
    """A listed key, where it is one that this house checks signatures with; others may stand beside it."""
    if not isinstance(listed, dict) or listed.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(listed)
    except jwt.PyJWTError:
        return None
    return key if ALGORITHMS.get(key.algorithm_name) == key.key_type else None


def _document(client: httpx.Client, address: str) -> dict[str, Any]:
    """A JSON object at an address of the issuer's; raises SignInUnavailable."""
    ends_at = time.monotonic() + 2 * WAIT_S  # a trickle never times out by itself
    try:
        with client.stream("GET", address) as answer:
            answer.raise_for_status()
            body = bytearray()
            for part in answer.iter_bytes():
                body += part
                if time.monotonic() > ends_at:
                    raise SignInUnavailable(f"{address} takes too long.", hint="Try again.")
                if len(body) > MAX_BYTES:
                    raise SignInUnavailable(f"{address} answers more than {MAX_BYTES >> 20} MiB.")
        found = json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SignInUnavailable(f"{address} cannot be read ({type(error).__name__}).", hint="Try again.") from error
    except ValueError as error:
        raise SignInUnavailable(f"{address} answers no JSON.") from error
    if not isinstance(found, dict):
        raise SignInUnavailable(f"{address} answers no JSON object.")
    return found


def _is_safe(address: str) -> bool:
    """Whether nobody in between can change what this address answers."""
    parts = urlsplit(address)
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname))


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
