"""Bad input, sent by the real client to a real socket: what it raises, and that nothing stays. About 15 seconds."""

import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest

from hibari.store import tables
from served_api import ServedApi, served

# From 3.1 on every method of the client's says that the API which it was made for has gone. This one has not.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

NOBODYS = "video_" + "0" * 24
FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na fox\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
WORDS = ("cat.mp4", b"just words, and many of them", "video/mp4")
SETTLE_S = 20.0
Ask = Callable[[openai.OpenAI], Any]


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    with served(home, tmp_path_factory.mktemp("served")) as opened:
        yield opened


@pytest.fixture(scope="module")
def queued(house: ServedApi) -> str:
    """Ann's video, which waits."""
    with house.client() as client:
        return client.videos.create(prompt="a fox").id


@pytest.fixture
def client(house: ServedApi, queued: str) -> Iterator[openai.OpenAI]:
    """Ann's client, of which nothing may be left when the test is over: no row, no blob, no file at all."""
    before = traces(house)
    with house.client() as opened:
        yield opened
    deadline = time.monotonic() + SETTLE_S
    while (after := traces(house)) != before and time.monotonic() < deadline:  # who hung up is noticed a little later
        time.sleep(0.05)
    assert after == before
    assert queued in after


def traces(house: ServedApi) -> set[str]:
    """Everything that a request could leave: rows of videos and characters, and files in the data folder."""
    with house.service.store.reading() as connection:
        ids = [connection.execute(table.select()).all() for table in (tables.videos, tables.characters)]
    files = house.service.settings.home.rglob("*")
    return {row.id for rows in ids for row in rows} | {str(path) for path in files if "ledger" not in path.name}


def refused(client: openai.OpenAI, ask: Ask, status: int, code: str, param: str | None) -> str:
    """The message of the error that the client raises, which has all that OpenAI's have."""
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client)
    error = caught.value
    assert (error.status_code, error.code, error.param) == (status, code, param), error.message
    assert error.body.keys() == {"message", "type", "param", "code"} and error.type == "invalid_request_error"
    assert error.request_id and len(error.message) > 25 and "/tmp" not in error.message
    return error.message


def bomb() -> bytes:
    """A picture of thirty kilobytes and 900 million pixels."""
    raw = zlib.compress(b"\0" * 30_000_000)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (30_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", raw) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of 10,000 frames, all of them the same packet."""
    path = tmp_path_factory.mktemp("clip") / "endless.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 120, np.uint8), format="rgb24")
        [key] = [*stream.encode(frame), *stream.encode()]
        for index in range(10_000):
            packet = av.Packet(bytes(key))
            packet.stream, packet.time_base, packet.is_keyframe = stream, key.time_base, True
            packet.pts = packet.dts = round(index / 24 / key.time_base)
            container.mux(packet)
    return path.read_bytes()


def by_id(id: str, **more: Any) -> dict[str, Any]:
    return {"video": openai.omit, "extra_body": {"video": {"id": id}} | more}


ON_A_VIDEO: dict[str, tuple[str, Callable[[openai.OpenAI, str], Any]]] = {
    "retrieve": ("video_id", lambda client, id: client.videos.retrieve(id)),
    "content": ("video_id", lambda client, id: client.videos.download_content(id)),
    "delete": ("video_id", lambda client, id: client.videos.delete(id)),
    "remix": ("video_id", lambda client, id: client.videos.remix(id, prompt="fog")),
    "edit": ("video", lambda client, id: client.videos.edit(prompt="fog", **by_id(id))),
    "extend": ("video", lambda client, id: client.videos.extend(prompt="fog", seconds="1", **by_id(id))),
}


@pytest.mark.parametrize("verb", ON_A_VIDEO)
def test_anothers_video_is_as_nobodys(house: ServedApi, client: openai.OpenAI, queued: str, verb: str) -> None:
    param, ask = ON_A_VIDEO[verb]
    with house.client("bob") as bob:
        theirs = refused(bob, lambda bob: ask(bob, queued), 404, "not_found", param)
    assert theirs == refused(client, lambda ann: ask(ann, NOBODYS), 404, "not_found", param)


def test_a_video_that_waits_has_nothing_yet(client: openai.OpenAI, queued: str) -> None:
    assert "queued" in refused(
        client, lambda ann: ann.videos.download_content(queued), 404, "video_not_ready", "video_id"
    )
    for verb in ("remix", "edit", "extend"):
        param, ask = ON_A_VIDEO[verb]
        refused(client, lambda ann, ask=ask: ask(ann, queued), 400, "video_not_ready", param)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("after", ["video_x", NOBODYS, "another's"])
def test_a_wrong_cursor(house: ServedApi, queued: str, after: str) -> None:
    with house.client("bob") as bob:
        wrong = queued if after == "another's" else after
        refused(bob, lambda bob: bob.videos.list(after=wrong), 400, "invalid_value", "after")


def test_wrong_keys(house: ServedApi, client: openai.OpenAI) -> None:
    assert client.models.list().data
    token, record = house.service.keys.create("ann")
    house.service.keys.revoke(record.id)
    for key in ("hk-no", token, "sk-proj-of-somebody"):
        with house.client(key=key) as stranger:
            for ask in (lambda one: one.videos.create(prompt="a fox"), lambda one: one.videos.list()):
                assert key not in refused(stranger, ask, 401, "invalid_api_key", None)


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"extra_body": {"colour": "red"}}, "colour", "unknown_parameter"),
        ({"size": "big"}, "size", "invalid_value"),
        ({"size": "4096x64"}, "size", "invalid_value"),
        ({"size": "-1280x720"}, "size", "invalid_value"),
        ({"seconds": "long"}, "seconds", "invalid_type"),
        ({"seconds": "900"}, "seconds", "invalid_value"),
        ({"seconds": "0"}, "seconds", "invalid_value"),
        ({"model": "sora-9"}, "model", "model_not_found"),
        ({"extra_body": {"seed": True}}, "seed", "invalid_type"),
        ({"extra_body": {"input_reference": {"image_url": "file:///etc/passwd"}}}, "input_reference.image_url", None),
    ],
)
def test_what_is_wrong_is_named(client: openai.OpenAI, more: dict[str, Any], param: str, code: str | None) -> None:
    refused(client, lambda ann: ann.videos.create(prompt="a fox", **more), 400, code or "not_supported", param)


@pytest.mark.parametrize("name", ["cat.mp4", "bomb.png", "half.png", "none.png"])
def test_a_picture_that_is_none(client: openai.OpenAI, name: str) -> None:
    files = {"cat.mp4": WORDS[1], "bomb.png": bomb(), "half.png": bomb()[:60], "none.png": b""}
    sent = (name, files[name], "image/png")
    refused(
        client, lambda ann: ann.videos.create(prompt="x", input_reference=sent), 400, "invalid_file", "input_reference"
    )


CLIPS: dict[str, Callable[[openai.OpenAI, Any], Any]] = {
    "edit": lambda client, clip: client.videos.edit(prompt="fog", video=clip, extra_body={"consent": "nobody"}),
    "extend": lambda client, clip: client.videos.extend(
        prompt="fog", seconds="1", video=clip, extra_body={"consent": "nobody"}
    ),
    "character": lambda client, clip: client.videos.create_character(
        name="Pip", video=clip, extra_body={"consent": "nobody"}
    ),
}


@pytest.mark.parametrize("verb", CLIPS)
def test_a_clip_that_is_none(client: openai.OpenAI, endless: bytes, verb: str) -> None:
    refused(client, lambda ann: CLIPS[verb](ann, WORDS), 400, "invalid_file", "video")
    refused(
        client, lambda ann: CLIPS[verb](ann, ("half.mp4", endless[: len(endless) // 2])), 400, "invalid_file", "video"
    )


@pytest.mark.parametrize("verb", CLIPS)
def test_a_clip_of_ten_thousand_frames(client: openai.OpenAI, endless: bytes, verb: str) -> None:
    message = refused(client, lambda ann: CLIPS[verb](ann, ("endless.mp4", endless)), 400, "invalid_file", "video")
    assert "10000 frames" in message


def test_fifty_megabytes(client: openai.OpenAI) -> None:
    large = ("big.png", bytes(53_000_000))
    refused(
        client, lambda ann: ann.videos.create(prompt="a fox", input_reference=large), 413, "request_too_large", None
    )
    just_over = ("big.mp4", bytes(50_000_001))
    refused(client, lambda ann: CLIPS["edit"](ann, just_over), 413, "request_too_large", None)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (PART + FILE + bytes(2_000_000), FORM, 400, "invalid_request"),
        (PART + PART + b"--x--\r\n", FORM, 400, "invalid_value"),
        (b"--y\r\n" + PART + b"--x--\r\n", FORM + "; boundary=y", 400, "invalid_request"),
    ],
)
def test_bodies_that_no_client_sends(
    house: ServedApi, client: openai.OpenAI, body: bytes, kind: str, status: int, code: str
) -> None:
    """The client builds none of these; test_app.py has more of them."""
    headers = {"authorization": f"Bearer {client.api_key}", "content-type": kind}
    answer = httpx.post(f"{house.url}/v1/videos", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


@pytest.mark.parametrize("kind", ["application/json", FORM])
def test_a_body_that_is_cut_off(house: ServedApi, client: openai.OpenAI, kind: str) -> None:
    sent = b'{"prompt": "a f' if kind == "application/json" else PART + FILE + bytes(2_000_000)
    head = (
        f"POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(sent) + 500}\r\n"
        f"Authorization: Bearer {client.api_key}\r\n\r\n"
    )
    with socket.create_connection((house.host, house.port)) as raw:
        raw.sendall(head.encode() + sent)
        time.sleep(0.3)  # so that it has been read when the line goes dead
    assert httpx.get(f"{house.url}/healthz").status_code == 200
