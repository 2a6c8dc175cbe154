"""`hibari secrets`: what the house has noted, whether it is here, and how it is forgotten. A second."""

from pathlib import Path

import pytest

from hibari.cli import run
from hibari.config import Settings
from hibari.provenance.house import house_of
from hibari.provenance.places import KEYS, ledger_url
from hibari.provenance.watermark.keys import month_of
from hibari.store import Store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    settings = Settings(home=tmp_path / "home")
    settings.ensure_home()
    with Store.open(ledger_url(settings)) as store:
        house_of(settings, store).join()
    return settings.home


def test_what_is_here_and_what_is_not(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secrets", "list", "--home", str(home)]) == 0
    signer, mark = capsys.readouterr().out.splitlines()
    assert signer.startswith("signer ") and mark == f"watermark {month_of()}  here"
    (home / KEYS / f"{month_of()}.key").unlink()
    assert run(["secrets", "list", "--home", str(home)]) == 1
    said = capsys.readouterr().out
    assert f"watermark {month_of()}  not here" in said and f"Copy {KEYS}/{month_of()}.key into {home}" in said


def test_nothing_is_forgotten_by_mistake(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"watermark {month_of()}"
    assert run(["secrets", "forget", name, "--home", str(home)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert run(["secrets", "forget", "watermark", "--home", str(home)]) == 2
    assert "is not noted" in capsys.readouterr().err, "the name is looked at first"
    assert run(["secrets", "forget", "watermark 1999-01", "--yes", "--home", str(home)]) == 2
    assert run(["secrets", "forget", name, "--yes", "--home", str(home)]) == 0
    capsys.readouterr()
    assert run(["secrets", "list", "--home", str(home)]) == 0
    assert name not in capsys.readouterr().out
