"""What the doctor says of the door: whole, new and broken installations. About 10 seconds, most of them model files."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import tiny_pki
from hibari.cli.doctor import examine_weights
from hibari.cli.door_checks import examine_door
from hibari.cli.finding import Finding
from hibari.config import ServiceSettings, Settings
from hibari.provenance.credentials.authority import WARN_BEFORE
from hibari.provenance.credentials.configured import authority_of
from hibari.provenance.house import house_of
from hibari.provenance.ledger import Ledger
from hibari.provenance.places import KEYS, ledger_url
from hibari.provenance.watermark.keys import KeyRing, month_of
from hibari.store import Store
from published_folders import write_published
from tiny_pki import DAY, EMAIL

PARTS = {"signing", "stamps", "keys", "ledger", "marks", "policy", "screens", "service", "guard"}


def report(settings: Settings, *, stamp: bool = False) -> dict[str, list[Finding]]:
    """Findings by part; each part has at least one, whatever is broken."""
    found: dict[str, list[Finding]] = {}
    for finding in examine_door(settings, stamp=stamp):
        found.setdefault(finding.what, []).append(finding)
    assert set(found) == PARTS
    assert all(finding.do for findings in found.values() for finding in findings if finding.verdict == "no")
    return found


def only(report: dict[str, list[Finding]], part: str) -> Finding:
    (finding,) = report[part]
    return finding


@pytest.fixture
def used(tmp_path: Path) -> Settings:
    """An installation that has keys and a ledger."""
    settings = Settings(home=tmp_path / "home")
    settings.ensure_home()
    authority_of(settings).rehearse()
    KeyRing.open(settings.home / KEYS).current()
    with Store.open(ledger_url(settings)) as store:
        Ledger(store)
    return settings


def test_a_new_installation_is_well_and_stays_empty(tmp_path: Path) -> None:
    found = report(Settings(home=tmp_path / "home"))
    verdicts = {part: finding.verdict for part in PARTS - {"screens"} for finding in found[part]}
    assert set(verdicts.values()) == {"ok"}
    assert not (tmp_path / "home").exists(), "looking makes nothing"


def test_a_used_installation_is_described(used: Settings) -> None:
    found = report(used)
    assert "Hibari, self-hosted: a local authority, until 20" in only(found, "signing").found
    assert only(found, "stamps").verdict == "note" and "no time-stamp authority" in only(found, "stamps").found
    assert only(found, "keys").found.startswith("1 for the watermark, the newest 20")
    assert "0 recorded, 0." in only(found, "ledger").found
    assert "'AI generated'" in only(found, "marks").found
    off = report(Settings(home=used.home, label="off"))
    assert only(off, "marks").verdict == "note"
    cn = report(Settings(home=used.home, region="cn", organisation="Studio"))
    assert "'AI生成', and the AIGC label" in only(cn, "marks").found


def open_key(settings: Settings) -> None:
    next((settings.home / KEYS).iterdir()).chmod(0o644)


def open_signer(settings: Settings) -> None:
    (settings.home / "credentials" / "signer.pem").chmod(0o640)


def damaged_signer(settings: Settings) -> None:
    (settings.home / "credentials" / "signer.pem").write_bytes(b"nonsense")


def no_ledger(settings: Settings) -> None:
    Path(ledger_url(settings)).write_bytes(b"this is no database at all, but a text of some length" * 40)


def newer_ledger(settings: Settings) -> None:
    with sqlite3.connect(ledger_url(settings)) as connection:
        connection.execute("UPDATE hibari_schema SET version_num = 'of tomorrow'")


def empty_guard(settings: Settings) -> None:
    (settings.home / "safety" / "guard").mkdir(parents=True)


def other_model(settings: Settings) -> None:
    (settings.home / "safety").mkdir()
    (settings.home / "safety" / "image-safety-classifier-s.onnx").write_bytes(b"another model")


@pytest.mark.parametrize(
    ("damage", "part", "says", "do"),
    [
        (open_key, "keys", "is open to others", "chmod 600"),
        (open_signer, "signing", "is open to others", "chmod 600"),
        (damaged_signer, "signing", "holds no certificate", "PEM"),
        (no_ledger, "ledger", "not a database", "backup"),
        (newer_ledger, "ledger", "newer Hibari", "Update Hibari"),
        (empty_guard, "guard", "holds no guard model", "transformers"),
        (other_model, "screens", "not the file that was checked", "Take the file away"),
    ],
)
def test_a_broken_part_is_named_and_the_others_are_looked_at(
    used: Settings, damage: Callable[[Settings], None], part: str, says: str, do: str
) -> None:
    damage(used)
    found = report(used)
    finding = found[part][0]
    assert finding.verdict == "no" and says in finding.found and do in finding.do
    broken = {name for name in PARTS - {"screens"} if any(one.verdict == "no" for one in found[name])}
    assert broken <= {part, "stamps"}, "the stamps need the same key"


def test_what_keeps_the_service_from_starting_is_found(used: Settings) -> None:
    with Store.open(ledger_url(used)) as store:
        house_of(used, store).join()
    assert only(report(used), "keys").verdict == "ok"
    (used.home / KEYS).rename(used.home / "moved")
    finding = only(report(used), "keys")
    assert (finding.verdict, f"{month_of()}.key" in finding.do) == ("no", True) and "is not here" in finding.found
    assert not (used.home / KEYS).exists(), "looking makes nothing"
    aliased = Settings(home=used.home, service=ServiceSettings(aliases="sora-2=gone"))
    assert only(report(aliased), "service").verdict == "no"


def test_a_policy_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("format = 9\n")
    found = report(Settings(home=tmp_path, policy=tmp_path / "policy.toml"))
    finding = only(found, "policy")
    assert "policy" not in only(found, "screens").found, "the screens are looked at for themselves"
    assert finding.verdict == "no" and "format must be 1" in finding.found


def test_an_operators_certificate_that_will_end(tmp_path: Path) -> None:
    root = tiny_pki.make("root", None)
    leaf = tiny_pki.make("leaf", root, purposes=[EMAIL], end=WARN_BEFORE - DAY)
    certificate, key = tiny_pki.write_chain(tmp_path, leaf), tiny_pki.write_key(tmp_path, leaf)
    who, warning = report(Settings(home=tmp_path / "home", certificate=certificate, private_key=key))["signing"]
    assert who.verdict == "ok" and who.found.startswith(f"Studio: {certificate} with the key {key}, until 20")
    assert warning.verdict == "note" and "nothing is made after that" in warning.found


def test_stamps_are_asked_for_only_where_that_is_wished(used: Settings, tmp_path: Path) -> None:
    deaf = Settings(home=used.home, timestamp_url="http://127.0.0.1:1/")
    assert [finding.verdict for finding in report(deaf)["stamps"]] == ["ok"]
    state, failed = report(deaf, stamp=True)["stamps"]
    assert "last stamp never" in state.found and failed.verdict == "no" and "failed at 20" in failed.found
    assert report(deaf)["stamps"][1].verdict == "note", "and that is remembered"
    root = tiny_pki.make("root", None)
    with tiny_pki.stamping(tmp_path, root) as url:
        roots = tiny_pki.write_chain(tmp_path, root)
        heard = Settings(home=used.home, timestamp_url=url, timestamp_root=roots)
        (state,) = report(heard, stamp=True)["stamps"]
    assert state.verdict == "ok" and "last stamp 20" in state.found
    kept = json.loads((used.home / "credentials" / "timestamps.json").read_text())
    assert kept["trusted"] and kept["stamped_at"]


def test_a_model_that_may_not_be_used_is_no_reason_to_be_ill(tmp_path: Path) -> None:
    folder = write_published(tmp_path / "home/models/mine")
    settings = Settings(home=tmp_path / "home")
    assert examine_weights(settings).verdict == "ok"
    (folder / "README.md").write_text("---\nlicense: openrail\n---\n")
    told = examine_weights(settings)
    assert told.verdict == "note" and "mine is under the licence openrail" in told.found
    assert "hibari-mini (" in told.found
    assert examine_weights(Settings(home=tmp_path / "home", model="mine")).verdict == "no"
