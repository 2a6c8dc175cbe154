"""What somebody with a key, or without one, might send to stall the service or fill its memory. About 5 seconds."""

import base64
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api_house import Api, api, fault
from hibari.serve.api.uploads import _copy, data_of
from hibari.serve.api.wire import Fields, _loaded

FORM = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api(home, tmp_path_factory.mktemp("attacks")) as opened:
        yield opened


def part(value: bytes, name: str = "prompt") -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value + b"\r\n"


@pytest.mark.parametrize("charset", ["punycode", "idna", "undefined", "utf-7", '"punycode"', "utf-8; charset=idna"])
def test_a_form_chooses_no_decoder(shared: Api, charset: str) -> None:
    """Some of Python's take quadratic time, and some raise what no parser expects."""
    began = time.monotonic()
    content = part(b"abc-" + b"z9" * 100_000) + b"--x--\r\n"
    sent = shared.post("/v1/videos", content=content, headers={"content-type": f"{FORM}; charset={charset}"})
    fault(sent, 415, "unsupported_media_type")
    assert time.monotonic() - began < 5
    good = shared.post("/v1/videos", content=content, headers={"content-type": f"{FORM}; charset=UTF-8"})
    fault(good, 400, "string_above_max_length", "prompt")


@pytest.mark.parametrize("as_form", [False, True])
def test_json_of_many_values_is_not_read(shared: Api, as_form: bool) -> None:
    """Three bytes of it would be sixty in memory."""
    wide = b"[" + b"[]," * 1_000_000 + b"[]]"
    tracemalloc.start()
    try:
        if as_form:
            content, kind = part(b"a fox") + part(wide, "characters") + b"--x--\r\n", FORM
        else:
            content, kind = b'{"prompt": "a fox", "characters": ' + wide + b"}", "application/json"
        sent = shared.post("/v1/videos", content=content, headers={"content-type": kind})
        assert sent.status_code == 400, sent.text
        assert tracemalloc.get_traced_memory()[1] < 8 * len(wide)
    finally:
        tracemalloc.stop()


def test_many_bodies_at_once_are_turned_away_and_others_are_not(shared: Api) -> None:
    gates = shared.service.gates
    for _ in range(4):
        gates.large.enter("ann")
    try:
        large = {"content": b'{"prompt": "' + b"x" * 300_000 + b'"}', "headers": {"content-type": "application/json"}}
        turned_away = shared.post("/v1/videos", **large)  # type: ignore[arg-type]
        fault(turned_away, 429, "rate_limit_exceeded")
        assert int(turned_away.headers["retry-after"]) >= 1
        fault(shared.post("/v1/videos", "bob", **large), 400, "string_above_max_length", "prompt")  # type: ignore[arg-type]
        fault(shared.post("/v1/videos", json={"prompt": ""}), 400, "invalid_value", "prompt")
    finally:
        for _ in range(4):
            gates.large.leave("ann")
    assert not gates.large._inside and not gates.bodies._inside


def test_strangers_wait_for_strangers_alone(shared: Api) -> None:
    gates, path = shared.service.gates, "/v1/content_provenance_checks"
    words = {"file": b"words"}
    for number in range(8):
        gates.strangers.enter(f"192.0.2.{100 + number}")
    try:
        turned_away = shared.post(path, None, files=words)
        fault(turned_away, 429, "rate_limit_exceeded")
        assert int(turned_away.headers["retry-after"]) >= 1
        fault(shared.post(path, "ann", files=words), 400, "invalid_file", "file")
    finally:
        for number in range(8):
            gates.strangers.leave(f"192.0.2.{100 + number}")
    helpers = shared.service.helpers
    assert helpers.users is not helpers.strangers and helpers.strangers._longest_s < helpers.users._longest_s


def test_a_stream_gives_its_place_back_and_a_look_at_its_head_takes_none(shared: Api) -> None:
    made = shared.create()
    path = f"/v1/videos/{made['id']}/events"
    assert shared.ask("HEAD", path).status_code == 200
    streams = shared.service.gates.streams
    assert not streams._inside
    for _ in range(16):
        streams.enter("ann")
    fault(shared.get(path), 429, "rate_limit_exceeded")
    for _ in range(16):
        streams.leave("ann")
    assert shared.ask("DELETE", f"/v1/videos/{made['id']}").status_code == 200


def test_two_lengths_end_the_connection(shared: Api) -> None:
    """Where a proxy in front counted by the other one, somebody's body would be the next one's request."""
    both = {"content-length": "2", "transfer-encoding": "chunked", "content-type": "application/json"}
    for path in ("/v1/videos", "/v1/nothing"):
        sent = shared.post(path, content=b"{}", headers=both)
        assert sent.status_code in (400, 404) and sent.headers["connection"] == "close"
    assert "connection" not in shared.post("/v1/videos", json={}).headers


def test_an_issuer_that_is_down_is_a_503_that_says_so(home: Path, tmp_path: Path) -> None:
    settings = {"oidc_issuer": "http://127.0.0.1:9/", "oidc_audience": "hibari"}
    head = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.e30.AAAA"
    with api(home, tmp_path / "signing", **settings) as opened:
        sent = opened.get("/v1/videos", None, headers={"authorization": f"Bearer {head}"})
        assert "issuer cannot be reached" in fault(sent, 503, "issuer_unreachable")
        assert int(sent.headers["retry-after"]) >= 1
        assert opened.get("/v1/videos").status_code == 200, "keys open all the same"


@pytest.mark.parametrize("as_form", [False, True])
def test_a_large_picture_in_a_data_url_is_read_beside_the_loop(
    shared: Api, monkeypatch: pytest.MonkeyPatch, as_form: bool
) -> None:
    """Twenty million characters of one user's must not be everybody's half second."""
    threads = set[str]()

    def beside(work: Callable[..., Any]) -> Callable[..., Any]:
        def told(*given: Any) -> Any:
            threads.add(f"{work.__name__} {threading.current_thread() is threading.main_thread()}")
            return work(*given)

        return told

    monkeypatch.setattr("hibari.serve.api.making.data_of", beside(data_of))
    monkeypatch.setattr(Fields, "digest", beside(Fields.digest))
    monkeypatch.setattr("hibari.serve.api.wire._loaded", beside(_loaded))
    monkeypatch.setattr("hibari.serve.api.uploads._copy", beside(_copy))
    reference = {"image_url": "data:image/png;base64," + base64.b64encode(bytes(1 << 20)).decode()}
    said = {"prompt": (None, "a fox"), "input_reference": (None, json.dumps(reference))}
    sent = {"files": said} if as_form else {"json": {"prompt": "a fox", "input_reference": reference}}
    answer = shared.post("/v1/videos", headers={"idempotency-key": "large"}, **sent)  # type: ignore[arg-type]
    fault(answer, 400, "invalid_file", "input_reference")
    assert threads == {f"{name} False" for name in ("data_of", "digest", "_loaded", "_copy")}


def test_a_digest_is_made_once() -> None:
    fields = Fields({"prompt": "a fox"})
    assert fields.digest() is fields.digest() != Fields({"prompt": "a hen"}).digest()
