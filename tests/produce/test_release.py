"""What a video of the service waits for at the door: put aside, and from there on its way. About 10 seconds."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hibari.errors import Held, InvalidRequest, OutputError
from hibari.media.decode import probe
from hibari.produce import Hibari
from hibari.produce.passage import HeldPlace
from hibari.produce.release import release_clip
from hibari.produce.replay import COMPONENTS
from hibari.produce.stills import publish_stills
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldItem, Ruling
from hibari.provenance.ledger.reviews import write_ruling
from hibari.provenance.places import ledger_url
from hibari.request import GenerationRequest
from hibari.store import Store
from houses import holding, own_home

VIDEO = "video_" + "0" * 24
GERMAN = "ein Oktopus schwimmt mit dem Fisch nach links"


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    folder = tmp_path_factory.mktemp("release")
    return Hibari(home=own_home(home, folder / "home"), model="tiny", device="cpu", dtype="float32", user="ann")


@pytest.fixture(scope="module")
def strict(maker: Hibari, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    """The same, with a policy that holds every frame."""
    return Hibari(replace(maker.settings, policy=holding(tmp_path_factory.mktemp("policy"))))


def ask(prompt: str = "an octopus drifts to the left") -> GenerationRequest:
    return GenerationRequest(prompt=prompt, seed=4, seconds=0.25, steps=1)


def held_place(folder: Path, **more: Any) -> HeldPlace:
    return HeldPlace(video=VIDEO, path=folder / "held.mp4", blob=f"{VIDEO}/held-1.mp4", **more)


def item_of(maker: Hibari, held: Held) -> HeldItem:
    item = maker.door.reviews.find(GenerationId(held.waits_as))
    assert item is not None and item.video == VIDEO
    return item


def test_an_allowed_request_that_got_lost_is_made_again_under_an_id_of_its_own(maker: Hibari, tmp_path: Path) -> None:
    with pytest.raises(Held, match="waits as") as caught:
        maker.generate(ask(GERMAN), output=tmp_path / "a.mp4", held_place=held_place(tmp_path))
    item = item_of(maker, caught.value)
    assert item.file is None and os.listdir(tmp_path) == []
    allowed = held_place(tmp_path, allowed=replace(item, state="allowed"))
    first = maker.generate(ask(GERMAN), output=tmp_path / "a.mp4", held_place=allowed)
    again = maker.generate(ask(GERMAN), output=tmp_path / "a.mp4", held_place=allowed)
    assert first.id == item.id and again.id != item.id
    assert first.making.frames_sha256 == again.making.frames_sha256


def test_another_file_than_the_one_that_was_held_is_not_made(maker: Hibari, tmp_path: Path) -> None:
    with pytest.raises(Held) as caught:
        maker.generate(ask(GERMAN), output=tmp_path / "a.mp4", held_place=held_place(tmp_path))
    item = item_of(maker, caught.value)
    other = replace(item, state="allowed", request=item.request | {"sources_sha256": ["0" * 64]})
    with pytest.raises(InvalidRequest, match="is another by now"):
        maker.generate(ask(GERMAN), output=tmp_path / "a.mp4", held_place=held_place(tmp_path, allowed=other))


def test_a_held_clip_is_released_once_it_is_allowed_and_whole(strict: Hibari, tmp_path: Path) -> None:
    with pytest.raises(Held) as caught:
        strict.generate(ask(), output=tmp_path / "a.mp4", held_place=held_place(tmp_path))
    assert os.listdir(tmp_path) == ["held.mp4"], "and nothing in the data folder"
    assert not (strict.settings.home / "held").is_dir() or not os.listdir(strict.settings.home / "held")
    item, path = item_of(strict, caught.value), tmp_path / "held.mp4"
    assert item.file == f"{VIDEO}/held-1.mp4" and "what is shown at 0.0 s" in item.reason
    with pytest.raises(InvalidRequest, match="was not let through"):
        release_clip(strict, replace(item, state="allowed"), ask(), path)
    with Store.open(ledger_url(strict.settings)) as store, store.writing() as connection:
        write_ruling(connection, item.id, Ruling(decision="allowed", reviewer="rita", note="fine"))
    allowed = strict.door.reviews.allowed(item.id)
    assert allowed is not None
    clip = release_clip(strict, allowed, ask(), path)
    assert clip.id == item.id and clip.record is not None
    stills = {"thumbnail": tmp_path / "t.webp", "spritesheet": tmp_path / "s.jpg"}
    with pytest.raises(Held):
        publish_stills(
            strict, clip.record, **stills, held_place=replace(held_place(tmp_path), path=tmp_path / "still.webp")
        )
    publish_stills(strict, clip.record, **stills, seen=True)
    assert probe(stills["spritesheet"]).kind == "still", "what was seen is not held again"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(OutputError, match="not the one that was signed"):
        release_clip(strict, allowed, ask(), path)


def test_a_clip_whose_still_is_held_waits_as_a_whole(maker: Hibari, strict: Hibari, tmp_path: Path) -> None:
    record = maker.generate(ask(), output=tmp_path / "a.mp4")
    stills = {"thumbnail": tmp_path / "t.webp", "spritesheet": tmp_path / "s.jpg"}
    with pytest.raises(Held) as caught:
        publish_stills(strict, record, **stills, held_place=held_place(tmp_path))
    item = item_of(strict, caught.value)
    assert item.request[COMPONENTS] == [str(record.id)] and item.id != record.id
    clip = release_clip(strict, replace(item, state="allowed"), ask(), record.path)
    assert clip.id == record.id and clip.record is not None and clip.record.file_sha256 == record.file_sha256
