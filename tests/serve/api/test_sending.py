"""Who reads nothing keeps neither a place nor a file, and a stream ends with its key. About 12 seconds."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hibari.serve.supervisor import _listening
from hibari.store.queue_rows import new_video_id
from queue_jobs import taken
from served_api import ServedApi, served

LARGE = 24 << 20  # more than two sockets hold between them


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    with served(home, tmp_path_factory.mktemp("sending")) as opened:
        yield opened


@pytest.fixture
def finished(house: ServedApi, tmp_path: Path) -> str:
    """A video of ann's that is done, and large."""
    with house.client() as client:
        client.post("/videos", body={"prompt": "a fox turns"}, cast_to=object)
    job, name = taken(house.service.queue), f"{new_video_id()}/video.mp4"
    (tmp_path / "large").write_bytes(bytes(LARGE))
    house.service.blobs.put(name, tmp_path / "large")
    kept = {"keep_hours": 1.0, "latents_hours": 1.0}
    assert house.service.queue.complete(job, files={"video": name}, generation_id=1, **kept)
    return job.id


def until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def asked(house: ServedApi, path: str, who: str = "ann") -> socket.socket:
    """A connection on which a GET was sent, and nothing is read."""
    connection = socket.create_connection((house.host, house.port))
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.keys[who]}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def open_files(name: str) -> int:
    """How often this process has a file of that name open."""
    here = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(str(path.readlink()).endswith(name) for path in here if path.exists())


def test_a_download_that_nobody_reads_ends(house: ServedApi, finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hibari.serve.api.sending.STALLED_S", 1.0)
    downloads, path = house.service.gates.downloads, f"/v1/videos/{finished}/content"
    with asked(house, path):
        assert until(lambda: downloads._inside["ann"] == 1 and open_files("video.mp4") == 1)
        assert until(lambda: not downloads._inside and open_files("video.mp4") == 0)
    whole = httpx.get(f"{house.url}{path}", headers={"authorization": f"Bearer {house.keys['ann']}"})
    assert len(whole.content) == LARGE and until(lambda: not downloads._inside)


def test_downloads_are_counted(house: ServedApi, finished: str) -> None:
    downloads, headers = house.service.gates.downloads, {"authorization": f"Bearer {house.keys['ann']}"}
    url = f"{house.url}/v1/videos/{finished}/content"
    for _ in range(32):
        downloads.enter("ann")
    try:
        assert httpx.get(url, headers=headers).status_code == 429
        assert httpx.head(url, headers=headers).status_code == 200
    finally:
        for _ in range(32):
            downloads.leave("ann")


def test_a_stream_ends_with_its_key(house: ServedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hibari.serve.api.events.ASK_AGAIN_S", 0.2)
    keys, seen = house.service.keys, list[str]()
    token, record = keys.create("ann")
    headers = {"authorization": f"Bearer {token}"}
    made = httpx.post(f"{house.url}/v1/videos", json={"prompt": "a fox turns"}, headers=headers).json()["id"]
    with httpx.stream("GET", f"{house.url}/v1/videos/{made}/events", headers=headers, timeout=20) as stream:
        for line in stream.iter_lines():
            seen.append(line)
            if len(seen) == 2:
                keys.revoke(record.id)
    assert seen[0] == "event: video" and until(lambda: not house.service.gates.streams._inside)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone ends such a connection")
def test_the_socket_of_who_reads_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing it is not enough: what it still has to send would keep it."""
    monkeypatch.setattr("hibari.serve.supervisor._UNREAD_MS", 1000)
    with _listening("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            accepted.settimeout(20)
            with pytest.raises(TimeoutError, match="Connection timed out"):
                accepted.sendall(bytes(64 << 20))
