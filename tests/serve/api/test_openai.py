"""The real client of the Videos API against the API on a real socket; nobody works the queue. About 8 seconds."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from PIL import Image

from served_api import ServedApi, served

# From 3.1 on every method of the client's says that the API which it was made for has gone. This one has not.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    with served(home, tmp_path_factory.mktemp("served")) as opened:
        yield opened


@pytest.fixture
def client(house: ServedApi) -> Iterator[openai.OpenAI]:
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


def test_lists_turn_their_pages(house: ServedApi) -> None:
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


def test_extra_fields_arrive_from_forms_and_json(client: openai.OpenAI) -> None:
    extra = {"seed": 7, "num_inference_steps": 2, "guidance_scale": 1.5, "negative_prompt": "fog", "nothing": None}
    del extra["nothing"]
    video = client.videos.create(prompt="a fox", extra_body=extra)
    assert {name: video.model_extra[name] for name in extra} == extra
    json = {"Content-Type": "application/json"}
    again = client.videos.create(prompt="a fox", extra_headers=json, extra_body=extra | {"seconds": 1})
    assert (again.seconds, again.model_extra["seed"]) == ("1", 7)


def test_start_images(house: ServedApi, client: openai.OpenAI) -> None:
    as_file = client.videos.create(prompt="a fox", input_reference=picture())
    url = "data:image/png;base64," + base64.b64encode(picture() + bytes(2 << 20)).decode()  # over a part's usual bound
    extra = {"input_reference": {"image_url": url}}
    as_url = client.videos.create(prompt="a fox", input_reference=openai.omit, extra_body=extra)
    for video in (as_file, as_url):
        assert house.service.queue.find(video.id).request["input"] == f"{video.id}/input.png"


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
