"""Keys are one a month, private, and never half written. Under a second."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hibari.errors import Refused
from hibari.provenance.watermark.keys import KeyRing

NOVEMBER, DECEMBER = datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def test_a_month_has_one_key_and_the_next_another(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys")
    first = ring.current(NOVEMBER)
    assert first.name == "2026-11" and ring.current(NOVEMBER) == first
    later = ring.current(DECEMBER)
    assert later.secret != first.secret
    assert KeyRing.open(tmp_path / "keys").all() == [later, first]


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    KeyRing.open(folder).current(NOVEMBER)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("name", ["", "2026-11.key"])
def test_what_is_open_to_others_is_refused(tmp_path: Path, name: str) -> None:
    KeyRing.open(tmp_path / "keys").current(NOVEMBER)
    (tmp_path / "keys" / name).chmod(0o755)
    with pytest.raises(Refused, match=r"chmod [67]00"):
        KeyRing.open(tmp_path / "keys")


@pytest.mark.parametrize("text", ["", "00ff", "no key at all", "zz" * 32])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    ring = KeyRing.open(tmp_path / "keys")
    path = tmp_path / "keys" / "2026-11.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Refused, match=r"not a (whole )?watermark key"):
        ring.current(NOVEMBER)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be reached"):
        KeyRing.open(tmp_path / "file" / "keys")


def test_a_secret_is_not_printed(tmp_path: Path) -> None:
    key = KeyRing.open(tmp_path / "keys").current(NOVEMBER)
    assert key.secret.hex() not in repr(key) and repr(key.secret) not in repr(key)
