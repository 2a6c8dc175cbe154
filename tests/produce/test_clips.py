"""Clips as conditions: redrawn, referred to, and what is recorded of them. About 15 seconds."""

from pathlib import Path

import pytest
from PIL import Image

from clips import actions, ask, clip_house, latents_of, our_clip, upload
from hibari.errors import BadMedia, InvalidRequest
from hibari.media.decode import probe
from hibari.produce import Hibari, Record


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    return clip_house(home, tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def source(maker: Hibari, tmp_path_factory: pytest.TempPathFactory) -> Record:
    return our_clip(maker, tmp_path_factory.mktemp("source"))


def test_a_clip_of_ours_is_redrawn_from_its_latents_and_without_them(
    maker: Hibari, source: Record, tmp_path: Path
) -> None:
    kept = maker.generate(ask(video=source.path, latents=latents_of(source)), output=tmp_path / "a.mp4")
    encoded = maker.generate(ask(video=source.path), output=tmp_path / "b.mp4", user="ben")
    assert kept.making.latents_sha256 != encoded.making.latents_sha256, "marks and coding change a clip"
    entry = maker.door.ledger.find(encoded.id)
    assert entry is not None and entry.request is not None and entry.user == "ben"
    assert (entry.request["strength"], entry.request["clip_from"]) == (0.85, "frames")
    assert [(each.relationship, each.own_id) for each in entry.sources] == [("parentOf", source.id)]
    entry = maker.door.ledger.find(kept.id)
    assert entry is not None and entry.request is not None and entry.request["clip_from"] == "kept latents"
    assert kept.plan.frames == 9 and probe(kept.path).frames == 9
    names, relationships = actions(encoded.path)
    assert names[:2] == ["c2pa.opened", "c2pa.edited"] and relationships == ["parentOf"]
    untouched = maker.generate(
        ask(video=source.path, latents=latents_of(source), strength=0), output=tmp_path / "c.mp4"
    )
    assert untouched.making == source.making, "0 keeps every frame, bit for bit"


def test_latents_of_another_clip_are_not_used(maker: Hibari, source: Record, tmp_path: Path) -> None:
    other = maker.generate(ask(seed=9), output=tmp_path / "other.mp4", keep_latents=tmp_path / "other.safetensors")
    encoded = maker.generate(ask(video=source.path), output=tmp_path / "a.mp4")
    for latents in (latents_of(other), tmp_path / "gone.safetensors"):
        record = maker.generate(ask(video=source.path, latents=latents), output=tmp_path / "b.mp4")
        assert record.making == encoded.making


def test_a_reference_is_looked_at(maker: Hibari, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), (30, 200, 30)).save(tmp_path / "green.png")
    shown = maker.generate(ask(seconds=0, references=(tmp_path / "green.png",)), output=tmp_path / "a.png")
    clip = upload(tmp_path / "bar.mp4")
    other = maker.generate(ask(seconds=0, references=(clip,)), output=tmp_path / "b.png")
    alone = maker.generate(ask(seconds=0), output=tmp_path / "c.png")
    assert len({each.making.latents_sha256 for each in (shown, other, alone)}) == 3
    entry = maker.door.ledger.find(other.id)
    assert entry is not None
    assert [(each.relationship, each.title) for each in entry.sources] == [("inputTo", "reference")]
    with pytest.raises(InvalidRequest, match="at most 1") as caught:
        maker.prepare(ask(references=(clip, clip)), tmp_path / "d.mp4")
    assert caught.value.option == "references"


def test_files_that_are_no_clips(maker: Hibari, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
    (tmp_path / "text.mp4").write_text("hello")
    for name in ("a.png", "text.mp4", "gone.mp4"):
        with pytest.raises(BadMedia) as caught:
            maker.prepare(ask(video=tmp_path / name), tmp_path / "b.mp4")
        assert caught.value.option == "video"
    clip = upload(tmp_path / "clip.mp4")
    job = maker.prepare(ask(video=clip), tmp_path / "b.mp4")
    clip.write_bytes(b"another")
    with pytest.raises(BadMedia, match="changed"):
        maker.generate(job)
    assert not (tmp_path / "b.mp4").exists()
