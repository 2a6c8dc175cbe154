"""Tarballs are found and verified, or the error says how to get them. Well under a second."""

import hashlib
from pathlib import Path

import pytest

from hibari.errors import HibariError, MissingDependency
from hibari.worlds.sources import SOURCES, Source, fetch_tarballs, find_tarballs, verify

TINY = Source(package="@maker/tiny", version="1.2.3", sha256=hashlib.sha256(b"right").hexdigest())


def test_names_and_pins() -> None:
    assert TINY.spec == "@maker/tiny@1.2.3" and TINY.tarball == "maker-tiny-1.2.3.tgz"
    assert len({source.sha256 for source in SOURCES}) == 6
    assert all(len(source.sha256) == 64 for source in SOURCES)


def test_an_absent_tarball_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match=r"npm pack @maker/tiny@1\.2\.3"):
        find_tarballs(tmp_path, [TINY])
    with pytest.raises(MissingDependency, match="fluent-emoji-anim-3"):
        find_tarballs(tmp_path)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / TINY.tarball
    path.write_bytes(b"wrong")
    with pytest.raises(HibariError, match="expected"):
        find_tarballs(tmp_path, [TINY])
    with pytest.raises(HibariError, match="Delete the file"):
        verify(TINY, path)
    path.write_bytes(b"right")
    assert find_tarballs(tmp_path, [TINY]) == {TINY: path}
    assert fetch_tarballs(tmp_path, [TINY]) == {TINY: path}, "what is there already is not asked for"


def test_without_npm_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"Node\.js"):
        fetch_tarballs(tmp_path / "new", [TINY])
