"""Digests of weights are remembered while the files stay as they are. Under a second."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from hibari.catalog import digests
from hibari.catalog.digests import Digests


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"one")
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_read_once(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(digests, "file_sha256", lambda path: read.append(path) or sha256(path.read_bytes()))
    for _ in range(3):
        assert Digests(tmp_path / digests.FILE).sha256(weights) == sha256(b"one")
    assert read == [weights]


def test_a_changed_file_is_read_again(tmp_path: Path, weights: Path) -> None:
    known = Digests(tmp_path / digests.FILE)
    assert known.sha256(weights) == sha256(b"one")
    weights.write_bytes(b"two")  # as long as before
    os.utime(weights, ns=(1, 1))
    assert known.sha256(weights) == sha256(b"two")
    replaced = tmp_path / "new"
    replaced.write_bytes(b"six")
    os.utime(replaced, ns=(1, 1))
    replaced.replace(weights)
    assert known.sha256(weights) == sha256(b"six")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"PATH": 3}', '{"PATH": {"state": STATE, "sha256": "x"}}'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, weights: Path, content: str) -> None:
    stat = weights.stat()
    state = json.dumps([stat.st_size, stat.st_ino, stat.st_mtime_ns])
    (tmp_path / digests.FILE).write_text(content.replace("PATH", str(weights)).replace("STATE", state))
    assert Digests(tmp_path / digests.FILE).sha256(weights) == sha256(b"one")


@pytest.mark.parametrize("place", [None, Path("no-such-folder/weights.json")])
def test_without_a_place_every_digest_is_taken_anew(weights: Path, place: Path | None) -> None:
    assert Digests(place).sha256(weights) == sha256(b"one")
