"""Reading: stripped copies with the ledger's manifest, altered, damaged and foreign files; about 4 seconds."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import c2pa
import numpy as np
import pytest
from PIL import Image

from hibari.errors import Refused
from hibari.media.child import Limits
from hibari.provenance.credentials.anchors import Anchors
from hibari.provenance.credentials.authority import Authority
from hibari.provenance.credentials.manifest import GENERATION, TRAINED_ALGORITHMIC_MEDIA
from hibari.provenance.credentials.read import MAX_TEXT, in_words, read, read_apart
from hibari.provenance.credentials.sign import SignedFile, sign
from hibari.provenance.ids import GenerationId

MP4, PNG, WEBP = "video/mp4", "image/png", "image/webp"
FILES = [("a.mp4", MP4), ("a.png", PNG), ("a.webp", WEBP)]
Signed = tuple[Path, SignedFile, GenerationId]


@pytest.fixture
def signed(authority: Authority, unsigned: Path, tmp_path: Path, make_origin: Any) -> dict[str, Signed]:
    """A signed file of each type."""
    made = {}
    for name, mime in FILES:
        origin = make_origin(seconds=1.0 if mime == MP4 else 0.0)
        made[name] = (tmp_path / name, sign(authority, origin, unsigned / name, tmp_path / name, mime), origin.id)
    return made


def strip(path: Path) -> None:
    """Rewrite a file without its credentials: a remux without new compression, or lossless compression."""
    if path.suffix != ".mp4":
        Image.open(path).save(path, lossless=True)
        return
    data = io.BytesIO(path.read_bytes())
    with av.open(data) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)


@pytest.mark.parametrize(("name", "mime"), FILES)
def test_a_stripped_copy_leads_back_to_its_credentials(
    authority: Authority, signed: dict[str, Signed], name: str, mime: str
) -> None:
    path, record, number = signed[name]
    strip(path)
    assert read(path, mime, authority.anchors()).state == "none"
    found = read(path, mime, authority.anchors(), record.manifest)
    assert (found.state, found.intact, found.authentic, found.id) == ("invalid", False, True, number)
    assert (found.issuer, found.model) == ("Studio Hibari", "hibari-mini")
    [problem] = found.problems
    assert problem.endswith("Hash.mismatch") and "is not the one that was signed" in in_words(problem)


@pytest.mark.parametrize(("name", "mime"), FILES)
def test_an_altered_picture_is_seen(authority: Authority, signed: dict[str, Signed], name: str, mime: str) -> None:
    path, _, number = signed[name]
    data = bytearray(path.read_bytes())
    place = {"a.mp4": b"mdat", "a.png": b"IDAT", "a.webp": b"VP8L"}[name]
    data[data.rfind(place) + 300] ^= 1
    path.write_bytes(data)
    found = read(path, mime, authority.anchors())
    assert (found.state, found.intact, found.authentic, found.id) == ("invalid", False, True, number)


def test_altered_statements_are_nobodys(authority: Authority, signed: dict[str, Signed]) -> None:
    path, _, number = signed["a.png"]
    other = GenerationId(number.value ^ 1)
    path.write_bytes(path.read_bytes().replace(str(number).encode(), str(other).encode()))
    found = read(path, PNG, authority.anchors())
    assert (found.state, found.intact, found.authentic) == ("invalid", False, False)
    assert found.id == other, "what it claims is still told"


def test_without_our_anchors_a_file_is_a_strangers(signed: dict[str, Signed]) -> None:
    path, record, number = signed["a.mp4"]
    for manifest in (None, record.manifest):
        found = read(path, MP4, Anchors(), manifest)
        assert (found.state, found.intact, found.authentic, found.id) == ("valid", True, False, number)
        assert found.problems == ("signingCredential.untrusted",)


@pytest.mark.parametrize(("name", "mime"), FILES)
def test_damage_of_any_kind_is_a_finding(authority: Authority, signed: dict[str, Signed], name: str, mime: str) -> None:
    path, _, _ = signed[name]
    whole, anchors = path.read_bytes(), authority.anchors()
    original = read(path, mime, anchors)
    start = whole.find(b"jumd") - 40
    # The library reserves room behind what is said, for a time stamp: zeros that no signature covers.
    end = whole.find(bytes(300), start)
    states = set()
    for place in np.random.default_rng(1).integers(start, end, 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        found = read(path, mime, anchors)
        states.add(found.state)
        # Of the frame around the statements a few lengths are not covered either; then nothing that is told differs.
        assert found == original or not (found.intact or found.state in ("trusted", "valid")), place
        if found.state == "unreadable":
            assert found.problems and not found.found
    assert states >= {"invalid", "unreadable"}
    for end in (0, 1, 10, start + 3, start + 600, len(whole) - 100):
        path.write_bytes(whole[:end])
        assert read(path, mime, anchors).state in ("none", "invalid", "unreadable")


def test_damaged_manifests_from_a_ledger(authority: Authority, signed: dict[str, Signed]) -> None:
    path, record, _ = signed["a.mp4"]
    for manifest in (b"", b"x" * 500, record.manifest[:-900], record.manifest[: len(record.manifest) // 2]):
        found = read(path, MP4, authority.anchors(), manifest)
        assert found.state == "unreadable" and "cannot be read" in found.problems[0]


def test_reading_apart_says_the_same_and_keeps_its_limits(authority: Authority, signed: dict[str, Signed]) -> None:
    path, record, _ = signed["a.mp4"]
    anchors = authority.anchors()
    assert read_apart(path, MP4, anchors) == read(path, MP4, anchors)
    strip(path)
    assert read_apart(path, MP4, anchors, record.manifest) == read(path, MP4, anchors, record.manifest)
    for limits, says in ((Limits(seconds=0.01), "too long"), (Limits(memory=24 << 20), "its limits")):
        found = read_apart(path, MP4, anchors, record.manifest, limits)
        assert found.state == "unreadable" and says in found.problems[0]


def test_files_that_are_none(authority: Authority, unsigned: Path, tmp_path: Path) -> None:
    for name, mime in FILES:
        assert read(unsigned / name, mime, authority.anchors()).state == "none"
    assert read(tmp_path / "gone.mp4", MP4, authority.anchors()).problems[0].startswith("The file cannot be read")
    found = read(unsigned / "a.mp4", "video/x-of-no-kind", authority.anchors())
    assert found.state == "none", "the content decides, and the type is a hint"
    (tmp_path / "a.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(400))
    found = read(tmp_path / "a.webm", "video/webm", authority.anchors())
    assert found.state == "none" and "not read here" in found.problems[0]
    (tmp_path / "junk.mp4").write_bytes(bytes(range(256)) * 40)
    assert read(tmp_path / "junk.mp4", MP4, authority.anchors()).state in ("none", "unreadable")


def foreign(authority: Authority, unsigned: Path, path: Path, assertions: list[dict[str, Any]]) -> None:
    """Sign any statements, as another program could with a key of its own."""
    manifest = {"claim_generator_info": [{"name": "Other"}], "assertions": assertions, "title": "x" * 5000}
    with (
        c2pa.Builder(manifest, authority.anchors().context()) as builder,
        authority.credential().signer() as signer,
        (unsigned / "a.png").open("rb") as source,
        path.open("w+b") as target,
    ):
        builder.sign(signer, PNG, source, target)


def actions(**made: Any) -> dict[str, Any]:
    action = {"action": "c2pa.created", "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA} | made
    return {"label": "c2pa.actions.v2", "created": True, "data": {"actions": [action]}}


def test_another_programs_file_is_told_as_it_is(authority: Authority, unsigned: Path, tmp_path: Path) -> None:
    stranger = Authority.open(tmp_path / "stranger", organisation="Another Studio")
    made = actions(when="2025-05-06T07:08:09+02:00", softwareAgent={"name": "Other", "version": "3"})
    foreign(stranger, unsigned, tmp_path / "b.png", [made])
    found = read(tmp_path / "b.png", PNG, authority.anchors())
    assert (found.state, found.id, found.issuer, found.software) == ("valid", None, "Another Studio", "Other 3")
    assert found.created_at == datetime(2025, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert found.model == "" and found.source_type == TRAINED_ALGORITHMIC_MEDIA


@pytest.mark.parametrize(
    "data",
    [
        {"id": 5},
        {"id": "hbr_!"},
        {"id": ["x"]},
        {"other": {"id": "hbr_0000000000"}},
        {"id": "\x1b[2J" * 90},
        [1],
        "text",
    ],
)
def test_statements_of_the_wrong_type_break_nothing(
    authority: Authority, unsigned: Path, tmp_path: Path, data: Any
) -> None:
    odd = [
        actions(when="yesterday" if isinstance(data, dict) else "0001-01-01T00:00:00+23:59", parameters={"x": data}),
        {"label": GENERATION, "created": True, "data": data},
        {"label": "c2pa.ai-disclosure", "created": True, "data": {"modelName": "\x1b]0;title\x07" + "m" * 900}},
    ]
    foreign(authority, unsigned, tmp_path / "b.png", odd)
    found = read(tmp_path / "b.png", PNG, authority.anchors())
    assert found.state == "trusted" and found.id is None and found.created_at is None
    assert found.model.isprintable() and len(found.model) <= MAX_TEXT


def test_a_deeply_nested_statement_breaks_nothing(authority: Authority, unsigned: Path, tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    foreign(authority, unsigned, tmp_path / "b.png", [actions(), {"label": GENERATION, "data": {"id": deep}}])
    assert read(tmp_path / "b.png", PNG, authority.anchors()).id is None


def test_anchors_are_files_that_can_be_taken_away(tmp_path: Path) -> None:
    own = Authority.open(tmp_path / "own")
    [kept] = (tmp_path / "own" / "anchors" / "signers").iterdir()
    assert own.anchors().signers == kept.read_text()
    kept.unlink()
    assert Anchors.load(tmp_path / "own") == Anchors() == Anchors.load(tmp_path / "nowhere")
    own.credential()
    kept.write_text("nonsense")
    with pytest.raises(Refused, match="holds no certificate"):
        own.anchors()
