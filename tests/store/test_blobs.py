"""Blobs in a folder and in a bucket (moto, over HTTP): whole or absent, by our names alone. About 4 seconds."""

import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from hibari.config import ServiceSettings, Settings
from hibari.errors import OutputError
from hibari.store.blobs import CHUNK, BlobMissing, Blobs, FolderBlobs, S3Blobs, open_blobs

ONE, TWO = f"video_{'0a' * 12}", f"video_{'1b' * 12}"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an S3 server with a bucket "files"."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    httpx.put(f"{address}/files").raise_for_status()
    yield address
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """An empty place for blobs, as settings name it."""
    files = None
    if request.param == "bucket":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("bucket"))
        for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "us-east-1"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        files = f"s3://files/{tmp_path.name}/"
    opened = open_blobs(Settings(home=tmp_path / "home", service=ServiceSettings(files=files)))
    assert isinstance(opened, S3Blobs if files else FolderBlobs)
    return opened


def given(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "given"
    path.write_bytes(data)
    return path


def test_what_is_put_comes_back_whole_and_in_ranges(blobs: Blobs, tmp_path: Path) -> None:
    data = os.urandom(3 * CHUNK + 77)
    name = f"{ONE}/video.mp4"
    blobs.put(name, given(tmp_path, data))
    assert blobs.size(name) == len(data)
    assert b"".join(blobs.open(name)) == data
    assert max(map(len, blobs.open(name))) < len(data), "in pieces"
    for start, length in [(0, 1), (5, CHUNK), (CHUNK - 1, None), (len(data) - 3, 99), (len(data), 5), (7, 0)]:
        end = None if length is None else start + length
        assert b"".join(blobs.open(name, start, length)) == data[start:end]
    blobs.fetch(name, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o600


def test_large_ones_go_up_in_parts(blobs: Blobs, tmp_path: Path) -> None:
    data = os.urandom(17 << 20)
    blobs.put(f"{ONE}/latents.safetensors", given(tmp_path, data))
    assert b"".join(blobs.open(f"{ONE}/latents.safetensors")) == data


def test_names_replacing_and_deleting(blobs: Blobs, tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 tells whole seconds
    names = sorted([f"{ONE}/video.mp4", f"{ONE}/thumbnail.webp", f"{TWO}/video.mp4"])
    for name in names:
        blobs.put(name, given(tmp_path, b"old"))
    blobs.put(names[0], given(tmp_path, b"newer"))
    found = dict(blobs.names())
    assert sorted(found) == names
    assert all(before < moment <= datetime.now(UTC) + timedelta(seconds=2) for moment in found.values())
    assert b"".join(blobs.open(names[0])) == b"newer"
    for name in (names[0], names[0], names[2]):
        blobs.delete(name)
    assert [name for name, _ in blobs.names()] == [names[1]]


def test_clearing_takes_all_of_one_owner(blobs: Blobs, tmp_path: Path) -> None:
    for name in (f"{ONE}/video-1.mp4", f"{ONE}/preview-1.webp", f"{TWO}/video.mp4"):
        blobs.put(name, given(tmp_path, b"x"))
    assert blobs.clear(ONE) == 2
    assert [name for name, _ in blobs.names()] == [f"{TWO}/video.mp4"]
    assert blobs.clear(ONE) == 0
    for wrong in ("", "..", ONE[:-1], f"{ONE}/", f"../{ONE}"):
        with pytest.raises(AssertionError, match="nobody's id"):
            blobs.clear(wrong)


def test_what_is_not_there(blobs: Blobs, tmp_path: Path) -> None:
    name = f"{ONE}/video.mp4"
    assert blobs.size(name) is None
    with pytest.raises(BlobMissing, match="no such file"):
        blobs.open(name)
    with pytest.raises(BlobMissing, match="no such file"):
        blobs.fetch(name, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    blobs.delete(name)


@pytest.mark.parametrize(
    "name",
    ["video.mp4", "../video.mp4", f"{ONE}/../../x.mp4", f"{ONE}/video.mp4\n", f"/{ONE}/video.mp4", f"{ONE}/.video.mp4"],
)
def test_no_name_leads_anywhere_else(blobs: Blobs, tmp_path: Path, name: str) -> None:
    with pytest.raises(AssertionError, match="no name of ours"):
        blobs.put(name, given(tmp_path, b"x"))
    with pytest.raises(AssertionError, match="no name of ours"):
        blobs.open(name)
    with pytest.raises(AssertionError, match="no name of ours"):
        blobs.delete(name)


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "files")
    blobs.put(f"{ONE}/video.mp4", given(tmp_path, b"x"))
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "files", *(tmp_path / "files").rglob("*")]}
    assert set(found.values()) == {0o700, 0o600} and len(found) == 3
    blobs.delete(f"{ONE}/video.mp4")
    assert not list((tmp_path / "files").iterdir()), "no empty folders stay"


def test_a_failed_put_leaves_the_old_one(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "files")
    blobs.put(f"{ONE}/video.mp4", given(tmp_path, b"old"))
    with pytest.raises(OutputError, match="No such file"):
        blobs.put(f"{ONE}/video.mp4", tmp_path / "none")
    assert b"".join(blobs.open(f"{ONE}/video.mp4")) == b"old"
    assert len(list((tmp_path / "files").rglob("*"))) == 2, "nothing half-written stays"


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    FolderBlobs(tmp_path / "files").put(f"{ONE}/video.mp4", given(tmp_path, b"x"))
    young, old = (tmp_path / "files" / ONE / f".video-{number}.part" for number in "01")
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    blobs = FolderBlobs(tmp_path / "files")
    assert young.exists() and not old.exists()
    assert [name for name, _ in blobs.names()] == [f"{ONE}/video.mp4"]


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "files").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        FolderBlobs(tmp_path / "files")


def test_a_bucket_that_is_not_there(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENDPOINT_URL": bucket, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "hush"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    blobs = S3Blobs("none")
    with pytest.raises(OutputError) as caught:
        blobs.put(f"{ONE}/video.mp4", given(tmp_path, b"x"))
    assert "hush" not in str(caught.value)


def test_a_store_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:9", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(OutputError, match="does not answer as it should"):
        S3Blobs("files").size(f"{ONE}/video.mp4")
