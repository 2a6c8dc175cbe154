"""The real client of the Videos API against the API on a real socket; nobody works the queue. About 8 seconds."""

import base64
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
import uvicorn
from PIL import Image

from hibari.access import Users
from hibari.config import ServiceSettings, Settings
from hibari.serve.api.app import create_app
from hibari.serve.api.service import Service

# From 3.1 on every method of the client's says that the API which it was made for has gone. This one has not.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")


class House:
    """A served API, and clients of it."""

    def __init__(self, service: Service, url: str) -> None:
        self.service, self.url = service, url
        users = Users(service.store)
        self.keys = {}
        for name in ("ann", "bob"):
            users.add(name, "creator")
            self.keys[name], _ = service.keys.create(name)

    def client(self, who: str = "ann", key: str | None = None) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or self.keys[who], max_retries=0)


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "models").symlink_to(home / "models")
    own = ServiceSettings(aliases="sora-2=tiny,sora-2-pro=tiny", jobs_at_once=200)
    service = Service.open(Settings(home=folder, model="tiny", service=own))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(service), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline and thread.is_alive()
            time.sleep(0.02)
        try:
            yield House(service, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with house.client() as opened:
        yield opened


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (96, 64), "teal").save(file, "PNG")
    return file.getvalue()


def test_create_retrieve_delete(client: openai.OpenAI) -> None:
    video = client.videos.create(model="sora-2", prompt="a panda bounces", seconds="4", size="1280x720")
    assert (video.model, video.status, video.seconds, video.size) == ("sora-2", "queued", "4", "1280x720")
    assert (video.progress, video.error, video.completed_at, video.remixed_from_video_id) == (0, None, None, None)
    assert video._request_id
    assert client.videos.retrieve(video.id).id == video.id
    gone = client.videos.delete(video.id)
    assert (gone.id, gone.object, gone.deleted) == (video.id, "video.deleted", True)
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.retrieve(video.id)
    assert caught.value.code == "not_found" and caught.value.request_id


def test_lists_turn_their_pages(house: House) -> None:
    with house.client("bob") as bob:
        ids = [bob.videos.create(prompt=f"fox {index}").id for index in range(5)]
        assert [video.id for video in bob.videos.list(limit=2)] == ids[::-1]
        assert [video.id for video in bob.videos.list(limit=2, order="asc")] == ids
        with pytest.raises(openai.BadRequestError) as caught:
            bob.videos.list(after="video_" + "0" * 24)
        assert caught.value.param == "after"
    with house.client("ann") as ann:
        with pytest.raises(openai.NotFoundError):
            ann.videos.retrieve(ids[0])
        assert not set(ids) & {video.id for video in ann.videos.list(limit=100)}


def test_keys(house: House) -> None:
    with house.client(key="hk-no") as stranger, pytest.raises(openai.AuthenticationError) as caught:
        stranger.videos.create(prompt="a fox")
    assert caught.value.code == "invalid_api_key" and "hk-no" not in str(caught.value)
    token, record = house.service.keys.create("ann")
    house.service.keys.revoke(record.id)
    with house.client(key=token) as revoked, pytest.raises(openai.AuthenticationError):
        revoked.videos.list()


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"extra_body": {"colour": "red"}}, "colour", "unknown_parameter"),
        ({"size": "big"}, "size", "invalid_value"),
        ({"size": "4096x64"}, "size", "invalid_value"),
        ({"seconds": "long"}, "seconds", "invalid_type"),
        ({"seconds": "900"}, "seconds", "invalid_value"),
        ({"model": "sora-9"}, "model", "model_not_found"),
        ({"input_reference": ("cat.mp4", b"just words")}, "input_reference", "invalid_file"),
        ({"extra_body": {"seed": True}}, "seed", "invalid_type"),
    ],
)
def test_what_is_wrong_is_named(client: openai.OpenAI, more: dict[str, object], param: str, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(prompt="a fox", **more)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.message.startswith("Error code: 400 - ") and len(caught.value.message) > 25


def test_extra_fields_arrive_from_forms_and_json(client: openai.OpenAI) -> None:
    extra = {"seed": 7, "num_inference_steps": 2, "guidance_scale": 1.5, "negative_prompt": "fog", "nothing": None}
    del extra["nothing"]
    video = client.videos.create(prompt="a fox", extra_body=extra)
    assert {name: video.model_extra[name] for name in extra} == extra
    json = {"Content-Type": "application/json"}
    again = client.videos.create(prompt="a fox", extra_headers=json, extra_body=extra | {"seconds": 1})
    assert (again.seconds, again.model_extra["seed"]) == ("1", 7)


def test_start_images(house: House, client: openai.OpenAI) -> None:
    as_file = client.videos.create(prompt="a fox", input_reference=picture())
    url = "data:image/png;base64," + base64.b64encode(picture() + bytes(2 << 20)).decode()  # over a part's usual bound
    extra = {"input_reference": {"image_url": url}}
    as_url = client.videos.create(prompt="a fox", input_reference=openai.omit, extra_body=extra)
    for video in (as_file, as_url):
        assert house.service.queue.find(video.id).request["input"] == f"{video.id}/input.png"


def test_content_before_it_is_ready(client: openai.OpenAI) -> None:
    video = client.videos.create(prompt="a fox")
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.download_content(video.id)
    assert caught.value.code == "video_not_ready"


def test_one_key_makes_one_video(client: openai.OpenAI) -> None:
    key = {"Idempotency-Key": "only-once"}
    first, again = (client.videos.create(prompt="a fox", extra_headers=key) for _ in range(2))
    assert first.id == again.id
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(prompt="another fox", extra_headers=key)
    assert caught.value.param == "Idempotency-Key"


def test_poll_header_is_a_whole_number(client: openai.OpenAI) -> None:
    video = client.videos.create(prompt="a fox")
    answer = client.videos.with_raw_response.retrieve(video.id)
    assert 1000 <= int(answer.headers["openai-poll-after-ms"]) <= 10_000


def test_models_and_webhooks(client: openai.OpenAI) -> None:
    assert {"sora-2", "sora-2-pro", "tiny"} <= {model.id for model in client.models.list()}
    made = client.webhooks.create(name="me", url="https://example.com/h", event_types=["video.completed"])
    assert made.signing_secret.startswith("whsec_")
    assert [one.id for one in client.webhooks.list()] == [made.id]
    rotated = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert rotated.signing_secret != made.signing_secret
    assert client.webhooks.delete(made.id).deleted


def test_characters(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create_character(name="Pip", video=("pip.mp4", b"just words"), extra_body={"consent": "adults"})
    assert (caught.value.param, caught.value.code) == ("video", "invalid_file")
    made = client.videos.create_character(name="Pip", video=picture(), extra_body={"consent": "nobody"})
    assert client.videos.get_character(made.id).name == "Pip"


def test_remix_of_what_is_not_there(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.videos.remix("video_" + "0" * 24, prompt="in fog")
    with pytest.raises(openai.NotFoundError):
        client.videos.edit(prompt="in fog", video=openai.omit, extra_body={"video": {"id": "video_" + "0" * 24}})
    queued = client.videos.create(prompt="a fox")
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.remix(queued.id, prompt="in fog")
    assert caught.value.code == "video_not_ready"


def test_a_body_that_is_cut_off(house: House) -> None:
    head = (
        "POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n"
        f"Authorization: Bearer {house.keys['ann']}\r\n\r\n"
    )
    before = house.service.queue.depth()
    host, port = house.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(head.encode() + b'{"prompt": "a f')
    time.sleep(0.2)
    assert house.service.queue.depth() == before
    assert httpx.get(f"{house.url}/healthz").status_code == 200


def test_fifty_megabytes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.videos.create(prompt="a fox", input_reference=("big.png", bytes(53_000_000)))
    assert caught.value.status_code == 413 and caught.value.code == "request_too_large"
