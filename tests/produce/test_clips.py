"""Clips as conditions: redrawn, extended, referred to, and what is recorded of them. About 20 seconds."""

import json
import os
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image

from hibari.errors import BadMedia, InvalidRequest
from hibari.media import encode
from hibari.media.decode import probe, read_video
from hibari.produce import Hibari, Record
from hibari.produce.stills import publish_stills
from hibari.provenance.verify import Verifier
from hibari.request import GenerationRequest
from houses import own_home


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    house = own_home(home, tmp_path_factory.mktemp("clips") / "home")
    return Hibari(home=house, model="tiny", device="cpu", dtype="float32", user="ann", label="off")


@pytest.fixture(scope="module")
def source(maker: Hibari, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A clip of 9 frames that left here, and its latents beside it."""
    path = tmp_path_factory.mktemp("source") / "source.mp4"
    return maker.generate(ask(size="192x128"), output=path, keep_latents=path.with_suffix(".safetensors"))


def ask(**fields: Any) -> GenerationRequest:
    return GenerationRequest(**({"prompt": "an octopus drifts to the left", "seed": 4, "steps": 2} | fields))


def latents_of(record: Record) -> Path:
    return record.path.with_suffix(".safetensors")


def upload(path: Path, frames: int = 12, fps: int = 12) -> Path:
    """Somebody else's clip: a bar that moves."""
    picture = np.zeros((frames, 64, 96, 3), np.uint8)
    for index in range(frames):
        picture[index, :, index * 4 : index * 4 + 20] = (240, 60, 30)
    encode.write_video(path, iter(picture), fps)
    return path


def actions(path: Path) -> tuple[list[str], list[str]]:
    """The actions in a file's credentials, and the relationships of its ingredients."""
    with c2pa.Reader(str(path)) as reader:
        store = json.loads(reader.json())
    active = store["manifests"][store["active_manifest"]]
    (found,) = (each["data"]["actions"] for each in active["assertions"] if each["label"] == "c2pa.actions.v2")
    return [each["action"] for each in found], [each["relationship"] for each in active["ingredients"]]


def test_a_clip_of_ours_is_redrawn_from_its_latents_and_without_them(
    maker: Hibari, source: Record, tmp_path: Path
) -> None:
    kept = maker.generate(ask(video=source.path, latents=latents_of(source)), output=tmp_path / "a.mp4")
    encoded = maker.generate(ask(video=source.path), output=tmp_path / "b.mp4", user="ben")
    assert kept.making.latents_sha256 != encoded.making.latents_sha256, "marks and coding change a clip"
    entry = maker.door.ledger.find(encoded.id)
    assert entry is not None and entry.request is not None and entry.user == "ben"
    assert (entry.request["strength"], entry.request["clip_from"]) == (0.7, "frames")
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


def test_an_extension_holds_the_clip_and_what_follows(maker: Hibari, source: Record, tmp_path: Path) -> None:
    record = maker.generate(ask(video=source.path, extend=True, seconds=0.5), output=tmp_path / "a.mp4")
    values = record.as_dict()
    assert (values["seconds"], values["frames"], probe(record.path).frames) == (1.25, 15, 15)
    assert record.plan.render.frames == 17, "8 known frames and one, then 6 new ones and what the model rounds up"
    _, was = read_video(source.path, 100)
    _, now = read_video(record.path, 100)
    error = np.mean((np.stack(now[:9]).astype(float) - np.stack(was)) ** 2)
    assert error < 60, f"{error:.0f}: the clip's own frames, but for another mark"
    answer = Verifier.open(maker.settings).verify(record.path)
    assert (answer.made_here, answer.intact, answer.id) == (True, True, record.id)
    assert answer.watermark.id == record.id.value, "the clip's own mark does not speak for it"
    assert answer.entry is not None and [each.own_id for each in answer.entry.sources] == [source.id]
    assert actions(record.path) == (["c2pa.opened", "c2pa.edited", "c2pa.watermarked.bound"], ["parentOf"])


def test_extensions_go_on_from_kept_latents(maker: Hibari, source: Record, tmp_path: Path) -> None:
    asked = {"extend": True, "seconds": 0.5}
    first = maker.generate(
        ask(video=source.path, latents=latents_of(source), **asked),
        output=tmp_path / "a.mp4",
        keep_latents=tmp_path / "a.safetensors",
    )
    second = maker.generate(
        ask(video=first.path, latents=tmp_path / "a.safetensors", **asked), output=tmp_path / "b.mp4"
    )
    for record, frames in ((first, 15), (second, 21)):
        entry = maker.door.ledger.find(record.id)
        assert entry is not None and entry.request is not None
        assert (entry.request["clip_from"], entry.delivery.frames) == ("kept latents", frames)
        assert probe(record.path).frames == frames
    redrawn = maker.generate(
        ask(video=first.path, latents=tmp_path / "a.safetensors", seconds=0.5), output=tmp_path / "c.mp4"
    )
    entry = maker.door.ledger.find(redrawn.id)
    assert entry is not None and entry.request is not None
    assert entry.request["clip_from"] == "frames", "an extension's latents begin where it was extended"


def test_an_upload_is_edited_extended_and_replayed(maker: Hibari, tmp_path: Path) -> None:
    clip = upload(tmp_path / "upload.mp4", frames=24, fps=24)
    for fields, frames in (({"strength": 0.5}, 12), ({"extend": True, "seconds": 0.25}, 30)):
        record = maker.generate(ask(video=clip, consent="nobody", size="192x128", **fields), output=tmp_path / "a.mp4")
        assert record.plan.frames == frames
        entry = maker.door.ledger.find(record.id)
        assert entry is not None and entry.sources[0].own_id is None
        assert entry.sources[0].consent is not None and entry.sources[0].consent["user"] == "ann"
        replayed = maker.replay(record.id, output=tmp_path / "b.mp4", user="ben")
        assert replayed.same, replayed.why
        entry = maker.door.ledger.find(replayed.record.id)
        assert entry is not None and entry.user == "ben"
        assert entry.sources[0].consent is not None and entry.sources[0].consent["user"] == "ann", "as it was stated"
    later = maker.generate(ask(video=tmp_path / "a.mp4", seconds=0.25), output=tmp_path / "c.mp4", user="ben")
    entry = maker.door.ledger.find(later.id)
    assert entry is not None and entry.sources[0].own_id == record.id
    assert entry.sources[0].consent is not None and entry.sources[0].consent["user"] == "ann", "it holds on"
    clip.write_bytes(b"another")
    with pytest.raises(InvalidRequest, match="the clip of"):
        maker.replay(record.id, output=tmp_path / "d.mp4")


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


def test_the_stills_of_a_clip(maker: Hibari, source: Record, tmp_path: Path) -> None:
    stills = publish_stills(
        maker, source, thumbnail=tmp_path / "thumbnail.webp", spritesheet=tmp_path / "spritesheet.jpg", user="ben"
    )
    assert sorted(os.listdir(tmp_path)) == ["spritesheet.jpg", "thumbnail.webp"]
    sizes = [(probe(still.path).width, probe(still.path).height) for still in stills]
    assert sizes == [(192, 128), (768, 384)]
    for still in stills:
        entry = maker.door.ledger.find(still.id)
        assert entry is not None and entry.user == "ben"
        assert [(each.relationship, each.own_id) for each in entry.sources] == [("componentOf", source.id)]
