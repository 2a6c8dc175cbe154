"""Signing whole files: formats, sources, time stamps, and everything that goes wrong; about 8 seconds, 5 of them
waiting for a certificate to expire.
"""

import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image, PngImagePlugin

import tiny_pki
from hibari.errors import BadMedia, OutputError, Refused
from hibari.media.child import Limits
from hibari.media.decode import probe
from hibari.provenance.credentials import sign as sign_module
from hibari.provenance.credentials.anchors import Anchors
from hibari.provenance.credentials.authority import Authority, state_of
from hibari.provenance.credentials.certificates import LEAF_LIFETIME
from hibari.provenance.credentials.manifest import Source
from hibari.provenance.credentials.read import can_take, read
from hibari.provenance.credentials.sign import sign
from hibari.provenance.credentials.signing import signer_of
from tiny_pki import EMAIL

MP4, PNG = "video/mp4", "image/png"


def store_of(path: Path, mime: str, anchors: Anchors) -> dict[str, Any]:
    """The library's own account of a file."""
    with path.open("rb") as stream, c2pa.Reader(mime, stream, context=anchors.context()) as reader:
        store: dict[str, Any] = json.loads(reader.json())
    return store


@pytest.mark.parametrize(
    ("suffix", "mime"), [(".mp4", MP4), (".png", PNG), (".webp", "image/webp"), (".jpg", "image/jpeg")]
)
def test_a_file_leaves_with_all_that_is_known(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any, suffix: str, mime: str
) -> None:
    origin, target = make_origin(seconds=1.0 if suffix == ".mp4" else 0.0), tmp_path / f"b{suffix}"
    before = (unsigned / f"a{suffix}").read_bytes()
    signed = sign(authority, origin, unsigned / f"a{suffix}", target, mime)
    assert not signed.timestamped and signed.notes == ()
    found = read(target, mime, authority.anchors())
    assert (found.state, found.found, found.intact, found.authentic) == ("trusted", True, True, True)
    assert (found.id, found.created_at, found.issuer) == (origin.id, origin.created_at, "Studio Hibari")
    assert (found.model, found.software, found.problems) == ("hibari-mini", "Hibari 0.1.0", ())
    assert found.source_type.endswith("/trainedAlgorithmicMedia")
    assert os.listdir(tmp_path) == [target.name]
    assert (unsigned / f"a{suffix}").read_bytes() == before
    assert 10_000 < target.stat().st_size - len(before) < 16_000


def test_the_signed_file_still_plays(authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any) -> None:
    sign(authority, make_origin(), unsigned / "a.mp4", tmp_path / "b.mp4", MP4)
    before, after = probe(unsigned / "a.mp4"), probe(tmp_path / "b.mp4")
    assert before == after


def test_a_file_may_be_signed_in_its_place(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes((unsigned / "a.png").read_bytes())
    sign(authority, make_origin(seconds=0.0), path, path, PNG)
    assert read(path, PNG, authority.anchors()).state == "trusted"
    assert os.listdir(tmp_path) == ["a.png"]


def test_sources_keep_their_own_credentials(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any
) -> None:
    first, second = make_origin(), make_origin()
    sign(authority, first, unsigned / "a.mp4", tmp_path / "parent.mp4", MP4)
    sign(authority, second, unsigned / "a.png", tmp_path / "part.png", PNG)
    origin = make_origin(
        action="edited",
        sources=(
            Source(content=tmp_path / "parent.mp4", mime=MP4, relationship="parentOf"),
            Source(content=tmp_path / "part.png", mime=PNG, relationship="componentOf"),
            Source(content=unsigned / "a.webp", mime="image/webp", relationship="inputTo", title="start image"),
        ),
    )
    assert sign(authority, origin, unsigned / "a.mp4", tmp_path / "b.mp4", MP4).notes == ()
    found = read(tmp_path / "b.mp4", MP4, authority.anchors())
    assert found.state == "trusted"
    assert {(each.relationship, each.title, each.has_credentials, each.id) for each in found.sources} == {
        ("parentOf", "source", True, first.id),
        ("componentOf", "component", True, second.id),
        ("inputTo", "start image", False, None),
    }
    store = store_of(tmp_path / "b.mp4", MP4, authority.anchors())
    assert len(store["manifests"]) == 3
    actions = store["manifests"][store["active_manifest"]]["assertions"][0]["data"]["actions"]
    assert [each["action"] for each in actions][:2] == ["c2pa.opened", "c2pa.edited"]
    assert all(each["parameters"]["ingredients"] for each in actions[:3])


def test_a_source_with_damaged_credentials_is_named_all_the_same(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any
) -> None:
    sign(authority, make_origin(), unsigned / "a.png", tmp_path / "whole.png", PNG)
    damaged = bytearray((tmp_path / "whole.png").read_bytes())
    damaged[damaged.find(b"jumd") - 3] ^= 0x7F
    for name, content in (
        ("damaged", bytes(damaged)),
        ("none", b"no picture"),
        ("other", b"\x1aE\xdf\xa3 of a kind that carries none"),
    ):
        (tmp_path / name).write_bytes(content)
    sources = (
        Source(content=tmp_path / "damaged", mime=PNG, relationship="parentOf"),
        Source(content=tmp_path / "none", mime=PNG, relationship="inputTo"),
        Source(content=tmp_path / "other", mime="video/webm", relationship="inputTo"),
    )
    signed = sign(authority, make_origin(action="edited", sources=sources), unsigned / "a.mp4", tmp_path / "b.mp4", MP4)
    assert len(signed.notes) == 2 and "source 1" in signed.notes[0] and "source 2" in signed.notes[1]
    found = read(tmp_path / "b.mp4", MP4, authority.anchors())
    assert found.state == "trusted"
    assert sorted(each.relationship for each in found.sources) == ["inputTo", "inputTo", "parentOf"]


def test_a_source_that_the_library_does_not_survive_is_named_all_the_same(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources are tried in a child process, which here has no memory."""
    none = Limits(memory=1 << 20)
    monkeypatch.setattr(sign_module, "can_take", partial(can_take, limits=none))
    sources = (Source(content=unsigned / "a.png", mime=PNG, relationship="inputTo"),)
    signed = sign(authority, make_origin(sources=sources), unsigned / "a.mp4", tmp_path / "b.mp4", MP4)
    assert signed.notes == ("The credentials of source 1 cannot be read and were not kept.",)
    assert read(tmp_path / "b.mp4", MP4, authority.anchors()).state == "trusted"


def test_nothing_private_comes_along(authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "Anna Example")
    notes.add_itxt(
        "XML:com.adobe.xmp",
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmpMM:InstanceID="Annas-camera" '
        'xmpMM:DocumentID="Annas-camera"/></rdf:RDF></x:xmpmeta>',
    )
    path = tmp_path / "Anna.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=notes)
    assert b"Annas-camera" in path.read_bytes()
    origin = make_origin(sources=(Source(content=path, mime=PNG, relationship="inputTo"),))
    manifest = sign(authority, origin, unsigned / "a.mp4", tmp_path / "b.mp4", MP4).manifest
    assert b"Anna" not in manifest and b"Anna" not in (tmp_path / "b.mp4").read_bytes()


@contextmanager
def small_files() -> Iterator[None]:
    """Writing more than 8 kB to a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing(authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any) -> None:
    authority.credential()
    with small_files(), pytest.raises(OutputError, match="no room left"):
        sign(authority, make_origin(), unsigned / "a.mp4", tmp_path / "b.mp4", MP4)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_signed_leaves_nothing(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any
) -> None:
    old = tmp_path / "b.mp4"
    old.write_text("old")
    with pytest.raises(BadMedia, match="cannot carry"):
        sign(authority, make_origin(), unsigned / "a.mp4", old, "video/webm")
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    with pytest.raises(Refused, match="could not be signed"):
        sign(authority, make_origin(), tmp_path / "junk", old, MP4)
    gone = (Source(content=tmp_path / "gone.png", mime=PNG, relationship="inputTo"),)
    with pytest.raises(BadMedia, match=r"gone\.png cannot be read"):
        sign(authority, make_origin(sources=gone), unsigned / "a.mp4", old, MP4)
    with pytest.raises(OutputError):
        sign(authority, make_origin(), unsigned / "a.mp4", tmp_path / "no" / "b.mp4", MP4)
    assert old.read_text() == "old" and sorted(os.listdir(tmp_path)) == ["b.mp4", "junk"]


@pytest.mark.filterwarnings("ignore")
def test_a_callback_that_dies_in_the_middle_leaves_nothing(unsigned: Path, tmp_path: Path, make_origin: Any) -> None:
    leaf = tiny_pki.make("leaf", tiny_pki.make("root", None), purposes=[EMAIL])
    assert isinstance(leaf.key, ec.EllipticCurvePrivateKey)
    answers, honest = iter([True]), signer_of(leaf.key)

    def callback(data: bytes) -> bytes:
        if not next(answers, False):
            raise TimeoutError("the vault is shut")
        return honest(data)

    authority = Authority.open(tmp_path / "keys", certificate=tiny_pki.write_chain(tmp_path, leaf), callback=callback)
    with pytest.raises(Refused, match="the vault is shut"):
        sign(authority, make_origin(), unsigned / "a.mp4", tmp_path / "b.mp4", MP4)
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob(".*"))


def test_a_stamp_service_that_fails_is_noted_and_left_alone_for_a_while(
    authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any
) -> None:
    with tiny_pki.babbling() as url:
        stamped = replace(authority, timestamp_url=url)
        first = sign(stamped, make_origin(), unsigned / "a.png", tmp_path / "b.png", PNG)
    assert not first.timestamped and "Signed without a time stamp" in first.notes[0]
    assert read(tmp_path / "b.png", PNG, stamped.anchors()).state == "trusted"
    assert "failed" in state_of(stamped)[0].found
    with tiny_pki.stamping(tmp_path, tiny_pki.make("root", None)) as address:
        # The same service, well again, is not asked within five minutes, and is asked after that.
        record = (stamped.folder / "timestamps.json").read_text().replace(url, address)
        (stamped.folder / "timestamps.json").write_text(record)
        healed = replace(stamped, timestamp_url=address)
        assert sign(healed, make_origin(), unsigned / "a.png", tmp_path / "b.png", PNG).notes
        later = replace(healed, clock=lambda: datetime.now(UTC) + timedelta(minutes=6))
        last = sign(later, make_origin(), unsigned / "a.png", tmp_path / "b.png", PNG)
    assert last.timestamped and last.notes == ()
    assert "its root is not known" in state_of(later)[0].found


def test_a_stamp_outlives_the_certificate(unsigned: Path, tmp_path: Path, make_origin: Any) -> None:
    # A certificate that ends while we watch: late enough that a busy machine signs and reads twice before.
    start = datetime.now(UTC)
    sign(Authority(folder=tmp_path / "first"), make_origin(), unsigned / "a.mp4", tmp_path / "first.mp4", MP4)
    end = datetime.now(UTC) + max(timedelta(seconds=4), 10 * (datetime.now(UTC) - start))
    root = tiny_pki.make("stamp root", None)
    bare = Authority(folder=tmp_path / "keys", clock=lambda: end - LEAF_LIFETIME)
    with tiny_pki.stamping(tmp_path, root) as url:
        stamped = replace(bare, timestamp_url=url, timestamp_root=tiny_pki.write_chain(tmp_path, root))
        assert sign(stamped, make_origin(), unsigned / "a.mp4", tmp_path / "stamped.mp4", MP4).timestamped
    plain = sign(bare, make_origin(), unsigned / "a.mp4", tmp_path / "plain.mp4", MP4)
    anchors = stamped.anchors()
    assert read(tmp_path / "plain.mp4", MP4, anchors).state == "trusted"
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 1.1)

    found = read(tmp_path / "stamped.mp4", MP4, anchors)
    assert found.state == "trusted" and found.signed_at is not None and found.stamp_trusted
    assert abs(found.signed_at - end) < timedelta(minutes=1)
    unknown = read(tmp_path / "stamped.mp4", MP4, replace(anchors, timestamps=""))
    assert (unknown.state, unknown.stamp_trusted) == ("valid", False)

    ended = read(tmp_path / "plain.mp4", MP4, anchors)
    assert (ended.state, ended.intact, ended.expired, ended.authentic) == ("valid", True, True, False)
    by_ledger = read(tmp_path / "plain.mp4", MP4, anchors, plain.manifest)
    assert by_ledger.intact and by_ledger.expired and by_ledger.id == ended.id
    moving = bytearray((tmp_path / "plain.mp4").read_bytes())
    moving[moving.rfind(b"mdat") + 400] ^= 1
    (tmp_path / "plain.mp4").write_bytes(moving)
    assert read(tmp_path / "plain.mp4", MP4, anchors, plain.manifest).state == "invalid"


def test_a_pinned_certificate_vouches_for_itself_alone(unsigned: Path, tmp_path: Path, make_origin: Any) -> None:
    root = tiny_pki.make("public authority", None)
    signers = []
    for name in ("ours", "a stranger's"):
        leaf = tiny_pki.make(name, root, purposes=[EMAIL])
        given = {"certificate": tiny_pki.write_chain(tmp_path, leaf, root), "key": tiny_pki.write_key(tmp_path, leaf)}
        signers.append(Authority.open(tmp_path / name, **given))  # type: ignore[arg-type]
    # Even where the same public authority's stamps count, its other customers are strangers.
    anchors = replace(signers[0].anchors(), timestamps=root.pem)
    for signer, state in zip(signers, ("trusted", "valid"), strict=True):
        sign(signer, make_origin(), unsigned / "a.png", tmp_path / "b.png", PNG)
        found = read(tmp_path / "b.png", PNG, anchors)
        assert (found.state, found.authentic) == (state, state == "trusted")
