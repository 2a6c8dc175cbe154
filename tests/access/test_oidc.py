"""Signing in at a real OpenID provider on this machine, and every token that must not hold. About 5 seconds."""

import json
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hibari.access import Audit, UserLimits, Users
from hibari.access.oidc import ASKED_AGAIN_AFTER_S, FAILURE_HOLDS_S, KEYS_HOLD_S, SignInUnavailable, Tokens
from hibari.errors import InvalidRequest
from hibari.store import Store

AUDIENCE = "hibari"
Json = dict[str, Any]


class Issuer:
    """An issuer of our own, to say what a well-behaved one never would."""

    def __init__(self) -> None:
        self.keys: list[Json] = []
        self.about: Json = {}
        self.asked: list[str] = []
        self.status = 200
        self.address = ""
        self.hold = Event()
        self.hold.set()

    def answer(self, path: str) -> bytes:
        self.asked.append(path)
        self.hold.wait()
        if path == "/keys":
            return json.dumps({"keys": self.keys}).encode()
        return json.dumps({"issuer": self.address, "jwks_uri": self.address + "/keys"} | self.about).encode()


class Key:
    """A signing key of the issuer's."""

    def __init__(self, id: str, algorithm: str = "RS256", size: int = 2048) -> None:
        self.id, self.algorithm = id, algorithm
        self.private: Any = (
            rsa.generate_private_key(65537, size) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
        )

    def listed(self, **more: str) -> Json:
        known = jwt.get_algorithm_by_name(self.algorithm)
        public: Json = json.loads(known.to_jwk(self.private.public_key()))  # type: ignore[no-untyped-call]
        public.pop("key_ops", None)
        return public | {"kid": self.id, "use": "sig", "alg": self.algorithm} | more


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    told = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = told.answer(self.path)
            self.send_response(told.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.address = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield told
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def key() -> Key:
    return Key("one")


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    with Store.open(tmp_path / "a.db") as store:
        yield Users(store)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(issuer: Issuer, key: Key, users: Users, clock: Clock) -> Tokens:
    issuer.keys = [key.listed()]
    return Tokens(issuer.address, AUDIENCE, users, clock=clock)


@pytest.fixture
def sign(issuer: Issuer, key: Key) -> Callable[..., str]:
    def make(by: Key = key, headers: Json | None = None, **claims: Any) -> str:
        now = int(time.time())
        stated = {"iss": issuer.address, "aud": AUDIENCE, "sub": "1", "exp": now + 300, "iat": now} | claims
        stated = {name: value for name, value in stated.items() if value is not None}
        return jwt.encode(stated, by.private, by.algorithm, {"kid": by.id} if headers is None else headers)

    return make


def test_a_token_of_a_real_provider(users: Users) -> None:
    import authlib.deprecate  # noqa: F401  # asks for its own warnings to be shown, and so comes before

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the provider is made from is about to change
        import oidc_provider_mock

        with oidc_provider_mock.run_server_in_thread() as server:
            issuer = f"http://localhost:{server.server_port}"
            about = httpx.get(issuer + "/.well-known/openid-configuration").json()
            httpx.put(issuer + "/users/ann", json={"email": "ann@example.test"})
            asked = {"client_id": AUDIENCE, "redirect_uri": "http://127.0.0.1:9/cb", "response_type": "code"}
            asked |= {"scope": "openid email", "state": "s", "nonce": "n"}
            sent = httpx.post(about["authorization_endpoint"] + "?" + urlencode(asked), data={"sub": "ann"})
            code = parse_qs(urlsplit(sent.headers["location"]).query)["code"]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked["redirect_uri"]}
            token = httpx.post(about["token_endpoint"], data=form, auth=(AUDIENCE, "x")).json()["id_token"]
            actor = Tokens(issuer, AUDIENCE, users).actor(token)
            assert actor is not None
            assert (actor.user, actor.role) == ("oidc:ann@example.test", "viewer")
            assert Tokens(issuer, "another service", users).actor(token) is None
            head, body, signature = token.split(".")
            other = "A" if signature[10] != "A" else "B"
            assert (
                Tokens(issuer, AUDIENCE, users).actor(f"{head}.{body}.{signature[:10]}{other}{signature[11:]}") is None
            )
    assert [(user.name, user.subject) for user in users.list()] == [("oidc:ann@example.test", f"{issuer} ann")]


def test_first_sight_makes_a_viewer_who_is_noted_and_found_again(
    tokens: Tokens, sign: Callable[..., str], users: Users
) -> None:
    first = tokens.actor(sign(preferred_username="ann"))
    assert first is not None and (first.user, first.role, first.key_id, first.scopes) == (
        "oidc:ann",
        "viewer",
        None,
        None,
    )
    users.set_limits("oidc:ann", UserLimits(jobs_at_once=1))
    users.set_role("oidc:ann", "creator")
    again = tokens.actor(sign(preferred_username="anna"))
    assert again is not None and (again.user, again.role, again.limits.jobs_at_once) == ("oidc:ann", "creator", 1)
    (entry,) = Audit(users.store).list()
    assert (entry.actor, entry.action, entry.resource) == ("oidc:ann", "user.manage", "user/oidc:ann")
    users.disable("oidc:ann")
    assert tokens.actor(sign()) is None


def test_the_issuer_can_state_the_role(tokens: Tokens, sign: Callable[..., str], users: Users) -> None:
    stated = tokens.actor(sign(hibari_role="creator"))
    assert stated is not None and stated.role == "creator"
    assert (later := tokens.actor(sign(hibari_role="auditor"))) is not None and later.role == "auditor"
    for wrong in ("king", "stranger", "", ["admin"], 1):
        assert tokens.actor(sign(hibari_role=wrong)) is None
    assert [user.role for user in users.list()] == ["auditor"]
    assert len(Audit(users.store).list()) == 2


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.test"},
        {"aud": "another"},
        {"aud": None},
        {"iss": None},
        {"sub": None},
        {"exp": None},
        {"exp": 1},
        {"nbf": 4102444800},
        {"sub": 7},
    ],
)
def test_claims_that_do_not_hold(tokens: Tokens, sign: Callable[..., str], users: Users, claims: Json) -> None:
    assert tokens.actor(sign(**claims)) is None
    assert tokens.actor(sign()) is not None and len(users.list()) == 1


def test_signatures_that_do_not_hold(
    tokens: Tokens, sign: Callable[..., str], issuer: Issuer, key: Key, users: Users
) -> None:
    now = int(time.time())
    claims = {"iss": issuer.address, "aud": AUDIENCE, "sub": "1", "exp": now + 300}
    issuer.keys.append(
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ", "kid": "secret", "alg": "HS256"}
    )
    issuer.keys.append(Key("weak", "RS256", 2048).listed(use="enc"))
    secret = b"secret-secret-secret-secret-1234"
    spoilt = [
        sign(by=Key("one")),  # another's key under a known name
        jwt.encode(claims, "", "none", {"kid": "one"}),
        jwt.encode(claims, secret, "HS256", {"kid": "secret"}),
        jwt.encode(claims, secret, "HS256", {"kid": "one"}),
        jwt.encode(claims, key.private, "RS512", {"kid": "one"}),
        sign(headers={"kid": "weak"}),
        sign(headers={"kid": "gone"}),
        "", "a.b.c", "hk-nothing", "é" * 10, sign() + "A" * 20_000,
    ]  # fmt: skip
    for token in spoilt:
        assert tokens.actor(token) is None, token[:60]
    assert users.list() == []


def test_an_elliptic_key_and_a_token_that_names_no_key(
    tokens: Tokens, sign: Callable[..., str], issuer: Issuer
) -> None:
    curve = Key("two", "ES256")
    issuer.keys.append(curve.listed())
    assert tokens.actor(sign(by=curve)) is not None
    assert tokens.actor(sign(headers={})) is not None, "the only one of its kind"


def test_the_issuers_keys_are_asked_for_seldom(
    tokens: Tokens, sign: Callable[..., str], issuer: Issuer, clock: Clock
) -> None:
    for _ in range(5):
        assert tokens.actor(sign()) is not None
    assert issuer.asked.count("/keys") == 1
    new = Key("new")
    assert tokens.actor(sign(by=new)) is None and issuer.asked.count("/keys") == 1, "strangers do not make us ask"
    issuer.keys = [new.listed()]
    clock.now += ASKED_AGAIN_AFTER_S
    assert tokens.actor(sign(by=new)) is not None and issuer.asked.count("/keys") == 2
    for number in range(50):
        clock.now += 1
        assert tokens.actor(sign(by=Key("new", "ES256"), headers={"kid": str(number)})) is None
    assert issuer.asked.count("/keys") == 2, "and many strange keys not more often than one"
    assert tokens.actor(sign()) is None, "a key that the issuer took back"
    clock.now += KEYS_HOLD_S
    assert tokens.actor(sign(by=new)) is not None and issuer.asked.count("/keys") == 3


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"issuer": "https://evil.test"}, "calls itself 'https://evil.test'"),
        ({"jwks_uri": "http://evil.test/keys"}, "no address of its keys that can be trusted"),
        ({"jwks_uri": None}, "no address of its keys that can be trusted"),
        ({"filler": "x" * (1 << 21)}, "more than 1 MiB"),
    ],
)
def test_an_issuer_that_cannot_be_trusted(
    tokens: Tokens, sign: Callable[..., str], issuer: Issuer, about: Json, said: str
) -> None:
    issuer.about = about
    with pytest.raises(SignInUnavailable, match=said):
        tokens.actor(sign())


def test_an_issuer_that_is_down_lets_nobody_in_until_it_is_up(
    tokens: Tokens, sign: Callable[..., str], issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.status = 503
    for _ in range(20):
        with pytest.raises(SignInUnavailable, match="cannot be read"):
            tokens.actor(sign())
    assert len(issuer.asked) == 1 == len(caplog.records), "it is left alone for a while"
    assert tokens.actor("not a token") is None, "which needs no issuer to see"
    issuer.status = 200
    clock.now += FAILURE_HOLDS_S
    assert tokens.actor(sign()) is not None


def test_known_keys_open_while_the_issuer_is_down(
    tokens: Tokens, sign: Callable[..., str], issuer: Issuer, clock: Clock
) -> None:
    assert tokens.actor(sign()) is not None
    issuer.status, asked = 503, len(issuer.asked)
    clock.now += ASKED_AGAIN_AFTER_S
    for _ in range(5):
        with pytest.raises(SignInUnavailable):
            tokens.actor(sign(headers={"kid": "strange"}))
        assert tokens.actor(sign()) is not None
    assert len(issuer.asked) == asked + 1
    clock.now += KEYS_HOLD_S
    with pytest.raises(SignInUnavailable):
        tokens.actor(sign())


def test_one_asks_and_who_is_known_does_not_wait(
    tokens: Tokens, sign: Callable[..., str], issuer: Issuer, clock: Clock
) -> None:
    together = [sign() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(tokens.actor, together))
    assert issuer.asked.count("/keys") == 1, "at the start the others wait for the first one's answer"
    clock.now += ASKED_AGAIN_AFTER_S
    issuer.hold.clear()
    with ThreadPoolExecutor(1) as threads:
        strange = threads.submit(tokens.actor, sign(headers={"kid": "strange"}))
        try:
            while len(issuer.asked) < 3:
                time.sleep(0.01)
            assert tokens.actor(sign()) is not None
            with pytest.raises(SignInUnavailable, match="is being asked"):
                tokens.actor(sign(headers={"kid": "another"}))
        finally:
            issuer.hold.set()
        assert strange.result() is None
    assert issuer.asked.count("/keys") == 2


@pytest.mark.parametrize(
    "address", ["http://idp.test", "idp.test", "https://", "https://a.test/?b=c", "https://u:p@a.test", "ftp://a"]
)
def test_addresses_that_are_no_issuer(users: Users, address: str) -> None:
    with pytest.raises(InvalidRequest, match="is no issuer"):
        Tokens(address, AUDIENCE, users)
