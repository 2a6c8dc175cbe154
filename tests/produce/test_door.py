"""What every file passes: screened, marked, signed, recorded, or no file at all. About 20 seconds."""

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hibari.errors import BadMedia, Held, HibariError, InvalidRequest, OutputError, Refused, StoreError
from hibari.media.decode import read_image
from hibari.media.encode import write_video
from hibari.produce import Hibari
from hibari.produce.progress import Progress
from hibari.provenance.ids import GenerationId
from hibari.provenance.label import Label
from hibari.provenance.verify import Verifier
from hibari.request import GenerationRequest
from houses import holding, own_home


@pytest.fixture(scope="module")
def maker(home: Path) -> Hibari:
    return Hibari(home=home, model="tiny", device="cpu", dtype="float32", user="ann")


def ask(**fields: Any) -> GenerationRequest:
    return GenerationRequest(**({"prompt": "an octopus drifts to the left", "seed": 4, "size": "480x320"} | fields))


def test_a_file_leaves_signed_marked_and_recorded(maker: Hibari, tmp_path: Path) -> None:
    record = maker.generate(ask(), output=tmp_path / "a.mp4")
    answer = Verifier.open(maker.settings).verify(tmp_path / "a.mp4")
    assert (answer.made_here, answer.intact, answer.id) == (True, True, record.id)
    assert answer.metadata.authentic and answer.watermark.found
    assert answer.watermark.id == record.id.value
    assert answer.entry is not None and answer.entry.user == "ann"
    assert answer.entry.request is not None and answer.entry.request["prompt"] == "an octopus drifts to the left"
    assert answer.entry.delivery.file_sha256 == record.file_sha256
    said = {screening.stage: screening for screening in answer.entry.screenings}
    assert set(said) == {"prompt", "frames"} and all(screening.action == "allow" for screening in said.values())
    assert 0 < said["frames"].categories["sexual_content"] < 1, "how close the frames came is kept too"
    data = (tmp_path / "a.mp4").read_bytes()
    assert b"octopus" not in data and b"ann\x00" not in data


def test_a_stripped_copy_leads_back(maker: Hibari, tmp_path: Path) -> None:
    record = maker.generate(ask(seconds=0), output=tmp_path / "a.png")
    Image.fromarray(read_image(tmp_path / "a.png")).save(tmp_path / "copy.png")
    answer = Verifier.open(maker.settings).verify(tmp_path / "copy.png")
    assert (answer.made_here, answer.intact, answer.id) == (True, False, record.id)
    assert not answer.metadata.found
    assert answer.recovered is not None and answer.recovered.id == record.id


def test_a_foreign_file_is_nobodys(maker: Hibari, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 64, 96, 3), np.uint8)
    write_video(tmp_path / "a.mp4", iter(noise), 12)
    answer = Verifier.open(maker.settings).verify(tmp_path / "a.mp4")
    assert not answer.made_here and not answer.intact and answer.id is None


def test_a_replay_is_the_same_and_has_its_own_id(maker: Hibari, tmp_path: Path) -> None:
    first = maker.generate(ask(), output=tmp_path / "a.mp4")
    replayed = maker.replay(first.id, output=tmp_path / "b.mp4")
    assert replayed.same and replayed.record.id != first.id
    entry = maker.door.ledger.find(replayed.record.id)
    assert entry is not None and entry.replay_of == first.id
    with pytest.raises(InvalidRequest, match="not recorded"):
        maker.replay(GenerationId(1))


def test_a_replay_rests_on_the_first_statement(maker: Hibari, tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), "orange").save(tmp_path / "start.png")
    first = maker.generate(ask(image=tmp_path / "start.png", consent="nobody", seconds=0), output=tmp_path / "a.png")
    bobs = Hibari(replace(maker.settings, user="bob"))
    second = bobs.replay(first.id, output=tmp_path / "b.png")
    third = bobs.replay(second.record.id, output=tmp_path / "c.png")
    entries = [bobs.door.ledger.find(each) for each in (first.id, second.record.id, third.record.id)]
    stated = [entry.sources[0].consent for entry in entries if entry is not None]
    assert [entry.user for entry in entries if entry is not None] == ["ann", "bob", "bob"]
    assert stated[0] is not None and stated[0]["user"] == "ann" and stated == stated[:1] * 3


def test_a_start_image_of_ours_is_named_whatever_it_is_called(maker: Hibari, tmp_path: Path) -> None:
    first = maker.generate(ask(seconds=0), output=tmp_path / "a.webp")
    shutil.copy(tmp_path / "a.webp", tmp_path / "b.jpg")
    second = maker.generate(ask(image=tmp_path / "b.jpg", seconds=0), output=tmp_path / "c.png")
    entry = maker.door.ledger.find(second.id)
    assert entry is not None and (entry.sources[0].own_id, entry.sources[0].mime) == (first.id, "image/webp")
    answer = Verifier.open(maker.settings).verify(tmp_path / "c.png")
    assert [(each.title, each.id) for each in answer.metadata.sources] == [("start image", first.id)]


def test_a_start_image_that_changes_on_the_way_is_not_used(maker: Hibari, tmp_path: Path) -> None:
    image, out = tmp_path / "start.png", tmp_path / "out"
    out.mkdir()
    Image.new("RGB", (96, 64), "orange").save(image)
    job = maker.prepare(ask(image=image, seconds=0), out / "a.png")
    Image.new("RGB", (96, 64), "navy").save(image)
    with pytest.raises(BadMedia, match=r"start\.png was changed while it was used"):
        maker.generate(job)
    image.unlink()
    with pytest.raises(BadMedia, match="cannot be read any more"):
        maker.generate(job)
    assert os.listdir(out) == []


def test_a_refused_prompt_says_why_and_is_recorded(maker: Hibari, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        maker.generate(ask(prompt="a hostage is beheaded on camera"), output=tmp_path / "a.mp4")
    assert caught.value.option == "prompt" and caught.value.hint
    assert os.listdir(tmp_path) == []
    kept = maker.door.ledger.export("ann")
    assert any(refusal for refusal in kept["refusals"]), "what the policy said is kept"


@pytest.mark.parametrize("part", ["watermark key", "signing key", "ledger"])
def test_a_part_that_cannot_run_leaves_no_file(home: Path, tmp_path: Path, part: str) -> None:
    house = own_home(home, tmp_path / "home")
    out = tmp_path / "out"
    out.mkdir()
    Hibari(home=house, model="tiny").generate(ask(seconds=0), output=out / "a.png")
    again = Hibari(home=house, model="tiny")
    if part == "watermark key":
        for path in (house / "keys").iterdir():
            path.chmod(0o644)
    elif part == "signing key":
        for path in (house / "credentials").glob("*.pem"):
            path.chmod(0o644)
    else:
        _ = again.door
        with sqlite3.connect(house / "ledger.sqlite3") as connection:
            connection.execute("DROP TABLE manifests")
    with pytest.raises(HibariError):
        again.generate(ask(seconds=0), output=out / "b.png")
    assert os.listdir(out) == ["a.png"]


@pytest.mark.parametrize("what", ["rename", "commit"])
def test_a_file_that_does_not_stand_is_not_recorded(
    maker: Hibari, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    target, before = tmp_path / "a.png", len(maker.door.ledger.issued_ids())

    def in_the_way(progress: Progress) -> None:
        if progress.stage == "sign" and not progress.done and what == "rename":
            target.mkdir()

    if what == "commit":
        record = maker.door.ledger.record

        def then_fails(*entry: Any, last: Callable[[], None]) -> None:
            def placed() -> None:
                last()
                assert target.exists()
                raise StoreError("the disk is full.")

            record(*entry, last=placed)

        monkeypatch.setattr(maker.door.ledger, "record", then_fails)
    with pytest.raises(HibariError, match=r"a\.png cannot be written|disk is full"):
        maker.generate(ask(seconds=0), output=target, on_progress=in_the_way)
    assert os.listdir(tmp_path) == (["a.png"] if target.is_dir() else [])
    assert len(maker.door.ledger.issued_ids()) == before


def test_a_full_disk_names_the_file_that_was_asked_for(maker: Hibari, tmp_path: Path) -> None:
    def now_full(progress: Progress) -> None:
        if progress.stage == "sign" and not progress.done:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OutputError) as caught:
            maker.generate(ask(seconds=0), output=tmp_path / "a.png", on_progress=now_full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{tmp_path / 'a.png'}: no room left on the disk." in caught.value.message
    assert os.listdir(tmp_path) == []


def test_what_is_held_waits_in_the_data_folder(home: Path, tmp_path: Path) -> None:
    house = own_home(home, tmp_path / "home")
    out = tmp_path / "out"
    out.mkdir()
    maker = Hibari(home=house, model="tiny", policy=str(holding(tmp_path)))
    with pytest.raises(Held) as caught:
        maker.generate(ask(seconds=0), output=out / "a.png")
    assert os.listdir(out) == []
    (item,) = maker.door.reviews.waiting()
    assert str(item.id) in caught.value.message
    assert item.file is not None and (house / item.file).is_file()


def test_the_label_can_be_left_out_and_nothing_else(home: Path) -> None:
    grey = np.full((90, 160, 3), 100, np.uint8)
    labelled = Label().draw(grey)
    assert (labelled != grey).any() and (grey == 100).all()
    assert (labelled[:45] == 100).all(), "the upper half is untouched"
    assert Hibari(home=home, model="tiny", label="off").door.label is None
    with pytest.raises(InvalidRequest):
        Hibari(home=home, label="none")
