"""What `hibari ledger list` shows. About a second."""

from pathlib import Path

import pytest

from hibari.cli import run
from hibari.config import Settings
from hibari.provenance.ledger import Ledger, Source
from hibari.provenance.places import ledger_url
from hibari.store import Store
from ledger_entries import digest, entry


def test_what_only_shows_others_is_listed_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = entry(1)
    shows = Source(sha256=digest("file 1"), relationship="componentOf", mime="video/mp4", title="a", own_id=whole.id)
    home = tmp_path / "home"
    Settings(home=home).ensure_home()
    with Store.open(ledger_url(Settings(home=home))) as store:
        ledger = Ledger(store)
        ledger.record(whole)
        ledger.record(entry(2, sources=(shows,)))
    assert run(["ledger", "list", "--home", str(home)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{whole.id} ")
    assert run(["ledger", "list", "--all", "--home", str(home)]) == 0
    still, again = capsys.readouterr().out.splitlines()
    assert still.startswith(f"{entry(2).id} ") and f"shows {whole.id}: a lark" in still and again == line
