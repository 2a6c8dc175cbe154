"""One house, one set of secrets: a stranger refuses before anything is made. A second; with --slow on Postgres too."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from databases import postgres, store
from hibari.config import Settings
from hibari.errors import InvalidRequest, WrongSecrets
from hibari.provenance.house import House, house_of
from hibari.provenance.places import CREDENTIALS, KEYS
from hibari.provenance.watermark.keys import month_of
from hibari.store import Store

__all__ = ["postgres", "store"]
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)


def machine(store: Store, home: Path) -> House:
    settings = Settings(home=home)
    settings.ensure_home()
    return house_of(settings, store)


def joining(store: Store, first: Path, home: Path) -> House:
    """A second machine, with the secrets of the first."""
    for name in (KEYS, CREDENTIALS):
        shutil.copytree(first / name, home / name)
    return machine(store, home)


@pytest.fixture
def first(store: Store, tmp_path: Path) -> House:
    house = machine(store, tmp_path / "first")
    house.join()
    return house


def test_the_first_notes_what_it_makes_and_gives_nothing_away(first: House) -> None:
    key = first.current_key()
    signer, mark = sorted(first.noted())
    assert signer.startswith("signer ") and mark == f"watermark {month_of()}"
    assert key.secret.hex() not in str(first.noted())
    before = first.noted()
    first.join()
    assert first.noted() == before


def test_a_machine_without_the_secrets_refuses_and_makes_none(first: House, store: Store, tmp_path: Path) -> None:
    assert first.noted()
    other = machine(store, tmp_path / "other")
    with pytest.raises(WrongSecrets, match="credentials"):
        other.join()
    assert not (tmp_path / "other" / CREDENTIALS).exists()
    shutil.copytree(tmp_path / "first" / CREDENTIALS, tmp_path / "other" / CREDENTIALS)
    with pytest.raises(WrongSecrets, match=r"keys/\d{4}-\d\d\.key"):
        other.join()
    assert not other.keys.all()


def test_a_machine_with_the_secrets_joins(first: House, store: Store, tmp_path: Path) -> None:
    other = joining(store, tmp_path / "first", tmp_path / "other")
    other.join()
    assert other.current_key() == first.current_key()
    assert all(other.is_here(name, digest) for name, digest in first.noted().items())


def test_of_two_that_make_a_months_key_the_later_refuses(first: House, store: Store, tmp_path: Path) -> None:
    other = joining(store, tmp_path / "first", tmp_path / "other")
    other.keys.current(JANUARY)  # as the month began, before the first had noted its own
    first.current_key(JANUARY)
    with pytest.raises(WrongSecrets, match="not the one"):
        other.current_key(JANUARY)
    shutil.copy(tmp_path / "first" / KEYS / "2027-01.key", tmp_path / "other" / KEYS / "2027-01.key")
    assert other.current_key(JANUARY) == first.current_key(JANUARY)


def test_who_knows_all_signers_may_bring_a_new_one_which_the_others_then_need(
    first: House, store: Store, tmp_path: Path
) -> None:
    other = joining(store, tmp_path / "first", tmp_path / "other")
    for name in ("root.pem", "signer.pem"):
        (tmp_path / "first" / CREDENTIALS / name).unlink()
    first.join()
    assert len(first.noted()) == 3
    with pytest.raises(WrongSecrets, match="certificate"):
        other.join()
    shutil.rmtree(tmp_path / "other" / CREDENTIALS)
    shutil.copytree(tmp_path / "first" / CREDENTIALS, tmp_path / "other" / CREDENTIALS)
    other.join()


def test_what_is_lost_for_good_is_forgotten_by_name(first: House, store: Store, tmp_path: Path) -> None:
    other = machine(store, tmp_path / "other")
    noted = first.noted()
    assert not any(other.is_here(name, digest) for name, digest in noted.items())
    for name in noted:
        other.forget(name)
    other.join()
    with pytest.raises(WrongSecrets):
        first.join()
    with pytest.raises(InvalidRequest):
        first.forget("watermark 1999-01")
