"""A picture composed of generations leaves by the same door as they did. About 8 seconds."""

import json
import os
from dataclasses import replace
from pathlib import Path

import c2pa
import numpy as np
import pytest
from PIL import Image

from hibari.errors import BadMedia, Held, InvalidRequest
from hibari.produce import Hibari, Record
from hibari.produce.sheet import check_sheet_target, publish_sheet
from hibari.provenance.ids import GenerationId
from hibari.provenance.verify import Verifier
from hibari.request import GenerationRequest
from houses import holding, own_home

PROMPTS = ("an octopus drifts to the left", "a fox over the ocean")


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    house = own_home(home, tmp_path_factory.mktemp("sheets") / "home")
    return Hibari(home=house, model="tiny", device="cpu", dtype="float32", user="ann")


@pytest.fixture(scope="module")
def stills(maker: Hibari, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("stills")
    requests = [GenerationRequest(prompt=text, seconds=0, seed=4, size="480x320") for text in PROMPTS]
    return [maker.generate(request, output=folder / f"{number}.png") for number, request in enumerate(requests)]


def composed(stills: list[Record]) -> Image.Image:
    sheet = Image.new("RGB", (960, 331), "white")  # an odd side: no video has one, and a sheet may
    for column, still in enumerate(stills):
        with Image.open(still.path) as picture:
            sheet.paste(picture, (480 * column, 0))
    return sheet


def test_a_sheet_is_marked_signed_and_recorded_with_its_components(
    maker: Hibari, stills: list[Record], tmp_path: Path
) -> None:
    sheet = publish_sheet(maker, composed(stills), stills, tmp_path / "sheet.png")
    assert os.listdir(tmp_path) == ["sheet.png"]
    answer = Verifier.open(maker.settings).verify(tmp_path / "sheet.png")
    assert (answer.made_here, answer.intact, answer.id) == (True, True, sheet.id)
    assert answer.watermark.id == sheet.id.value, "its own id, not a component's"
    assert answer.entry is not None
    assert [source.own_id for source in answer.entry.sources] == [still.id for still in stills]
    assert [source.sha256 for source in answer.entry.sources] == [still.file_sha256 for still in stills]
    assert {source.relationship for source in answer.entry.sources} == {"componentOf"}
    assert answer.entry.request is not None and answer.entry.request["prompt"] == "; ".join(PROMPTS)
    assert (answer.entry.delivery.width, answer.entry.delivery.height, answer.entry.delivery.frames) == (960, 331, 1)


def test_the_credentials_of_the_components_are_kept(maker: Hibari, stills: list[Record], tmp_path: Path) -> None:
    publish_sheet(maker, composed(stills), stills, tmp_path / "sheet.png")
    with c2pa.Reader(str(tmp_path / "sheet.png")) as reader:
        store = json.loads(reader.json())
    active = store["manifests"][store["active_manifest"]]
    assert [each["relationship"] for each in active["ingredients"]] == ["componentOf"] * 2
    kept = [store["manifests"][each["active_manifest"]] for each in active["ingredients"]]
    assert [one["title"] for one in kept] == [f"{still.id}.png" for still in stills]
    (actions,) = (each["data"]["actions"] for each in active["assertions"] if each["label"] == "c2pa.actions.v2")
    names = [each["action"] for each in actions]
    assert names == ["c2pa.created", "c2pa.placed", "c2pa.placed", "c2pa.watermarked.bound"]
    assert b"octopus" not in (tmp_path / "sheet.png").read_bytes()


def test_no_second_label_covers_a_sheet_of_labelled_tiles(maker: Hibari, stills: list[Record], tmp_path: Path) -> None:
    picture = composed(stills)
    changed = []
    for parts in ((), (np.asarray(picture),)):
        sheet = publish_sheet(maker, picture, stills, tmp_path / "sheet.png", parts=parts)
        with Image.open(sheet.path) as made:
            corner = (-60, -140)
            given, shown = (np.asarray(one.convert("RGB"), int)[corner[0] :, corner[1] :] for one in (picture, made))
        changed.append(np.abs(shown - given).max())
        assert Verifier.open(maker.settings).verify(sheet.path).intact, "it is marked and signed all the same"
    assert changed[0] > 60 and changed[1] < 20, "a watermark is not seen, a label is"


def test_only_what_left_here_as_it_left_can_be_shown(maker: Hibari, stills: list[Record], tmp_path: Path) -> None:
    picture, first = composed(stills), stills[0]
    changed = tmp_path / "changed.png"
    changed.write_bytes(first.path.read_bytes()[:-1])
    for components, says in (
        ([], "none"),
        ([replace(first, id=GenerationId(1))], "not delivered here"),
        ([first, replace(first, path=changed)], "has changed"),
        ([replace(first, path=tmp_path / "gone.png")], "cannot be read"),
    ):
        with pytest.raises(InvalidRequest, match=says):
            publish_sheet(maker, picture, components, tmp_path / "sheet.png")
    assert os.listdir(tmp_path) == ["changed.png"]


def test_a_sheet_is_a_picture(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is a video"):
        check_sheet_target(tmp_path / "sheet.mp4")
    with pytest.raises(BadMedia):
        check_sheet_target(tmp_path / "sheet.gif")


def test_a_sheet_is_screened_too(maker: Hibari, stills: list[Record], tmp_path: Path) -> None:
    strict = Hibari(replace(maker.settings, policy=holding(tmp_path)))
    with pytest.raises(Held):
        publish_sheet(strict, composed(stills), stills, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
    (item,) = strict.door.reviews.waiting()
    assert item.file is not None and (strict.settings.ensure_home() / item.file).is_file()


def test_a_sheet_is_not_replayed(maker: Hibari, stills: list[Record], tmp_path: Path) -> None:
    sheet = publish_sheet(maker, composed(stills), stills, tmp_path / "sheet.png")
    with pytest.raises(InvalidRequest, match="is a sheet") as caught:
        maker.replay(sheet.id, output=tmp_path / "again.png")
    assert str(stills[0].id) in caught.value.hint


def test_a_sheet_is_screened_by_the_frames_that_it_shows(maker: Hibari, stills: list[Record], tmp_path: Path) -> None:
    parts = []
    for still in stills:
        with Image.open(still.path) as picture:
            parts.append(np.asarray(picture.convert("RGB")))
    scores = []
    for given in ((), parts):
        sheet = publish_sheet(maker, composed(stills), stills, tmp_path / "sheet.png", parts=given)
        entry = maker.door.ledger.find(sheet.id)
        assert entry is not None
        scores.append(entry.screenings[-1].categories["sexual_content"])
    looked = [maker.door.frames.findings(frame[None])[0].score for frame in parts]
    assert scores[1] == pytest.approx(max(looked)) and scores[0] != pytest.approx(scores[1])
