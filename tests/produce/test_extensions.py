"""Clips that go on, uploads that are edited and replayed, and the stills of a clip. About 18 seconds."""

import os
from pathlib import Path

import numpy as np
import pytest

from clips import actions, ask, clip_house, latents_of, our_clip, upload
from hibari.errors import InvalidRequest
from hibari.media.decode import probe, read_video
from hibari.produce import Hibari, Record
from hibari.produce.stills import publish_stills
from hibari.provenance.verify import Verifier


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    return clip_house(home, tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def source(maker: Hibari, tmp_path_factory: pytest.TempPathFactory) -> Record:
    return our_clip(maker, tmp_path_factory.mktemp("source"))


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
