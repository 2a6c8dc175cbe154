"""A verifier that shares no code with ours agrees; about 2 seconds. Its telemetry is off, and it fetches nothing."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import encypher_c2pa
import pytest

import tiny_pki
from hibari.provenance.credentials.authority import Authority
from hibari.provenance.credentials.manifest import Source
from hibari.provenance.credentials.sign import sign

FILES = [("a.mp4", "video/mp4"), ("a.png", "image/png"), ("a.webp", "image/webp")]


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its answer in the user's folders: here those are the test's."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    encypher_c2pa.set_telemetry_preference(False)


def second_opinion(path: Path, mime: str, authority: Authority, **more: Any) -> Mapping[str, Any]:
    anchors = authority.anchors()
    report: Mapping[str, Any] = encypher_c2pa.verify(
        path.read_bytes(),
        mime,
        trust_pem=anchors.signers,
        tsa_trust_pem=anchors.timestamps or None,
        no_default_trust=True,
        telemetry=False,
        **more,
    )
    return report


@pytest.mark.parametrize(("name", "mime"), FILES)
def test_it_trusts_what_we_trust(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any, name: str, mime: str
) -> None:
    origin = make_origin(seconds=1.0 if name == "a.mp4" else 0.0)
    sign(authority, origin, unsigned / name, tmp_path / name, mime)
    report = second_opinion(tmp_path / name, mime, authority)
    assert report["validation_state"] == "Trusted"
    assert (report["integrity"], report["signature"], report["hard_binding"]) == ("valid", "valid", "match")
    assert report["validation_results"]["failure"] == []
    assert str(origin.id) in str(report["manifest_report"])


def test_it_sees_the_parent_and_its_credentials(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any
) -> None:
    sign(authority, make_origin(), unsigned / "a.mp4", tmp_path / "parent.mp4", "video/mp4")
    sources = (
        Source(content=tmp_path / "parent.mp4", mime="video/mp4", relationship="parentOf"),
        Source(content=unsigned / "a.png", mime="image/png", relationship="inputTo"),
    )
    edited = make_origin(action="edited", sources=sources)
    sign(authority, edited, unsigned / "a.mp4", tmp_path / "b.mp4", "video/mp4")
    report = second_opinion(tmp_path / "b.mp4", "video/mp4", authority)
    assert report["validation_state"] == "Trusted" and len(report["manifest_report"]["manifests"]) == 2


def test_it_refuses_what_was_altered_and_holds_a_stripped_copy_against_the_ledger(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any
) -> None:
    manifest = sign(authority, make_origin(), unsigned / "a.mp4", tmp_path / "b.mp4", "video/mp4").manifest
    data = bytearray((tmp_path / "b.mp4").read_bytes())
    data[data.rfind(b"mdat") + 300] ^= 1
    (tmp_path / "b.mp4").write_bytes(data)
    assert second_opinion(tmp_path / "b.mp4", "video/mp4", authority)["hard_binding"] == "mismatch"
    recovered = second_opinion(unsigned / "a.webp", "image/webp", authority, manifest_store=manifest)
    assert recovered["signature"] == "valid" and recovered["validation_state"] == "Invalid"


def test_it_trusts_the_stamp(authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any) -> None:
    root = tiny_pki.make("stamp root", None)
    with tiny_pki.stamping(tmp_path, root) as url:
        stamped = replace(authority, timestamp_url=url, timestamp_root=tiny_pki.write_chain(tmp_path, root))
        assert sign(stamped, make_origin(), unsigned / "a.mp4", tmp_path / "b.mp4", "video/mp4").timestamped
    report = second_opinion(tmp_path / "b.mp4", "video/mp4", stamped)
    codes = {each["code"] for each in report["validation_results"]["success"]}
    assert report["validation_state"] == "Trusted" and {"timeStamp.validated", "timeStamp.trusted"} <= codes
