"""The fast version on the road: named in the record, made again to the bit, refused where its file changed. 10 s."""

import json
from pathlib import Path
from typing import Any

import pytest

from hibari.errors import InvalidRequest
from hibari.media.files import file_sha256
from hibari.produce import Hibari
from hibari.produce.record import Record
from hibari.produce.replay import asked_again
from hibari.request import GenerationRequest
from tiny_fast import add_fast, build_teacher


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose one model has a fast version."""
    folder = tmp_path_factory.mktemp("house")
    add_fast(build_teacher(folder / "models" / "tiny"))
    return folder


@pytest.fixture(scope="module")
def maker(house: Path) -> Hibari:
    return Hibari(home=house, model="tiny", device="cpu", dtype="float32", user="ann")


def make(maker: Hibari, output: Path, **asked: Any) -> Record:
    values: dict[str, Any] = {"prompt": "an octopus drifts to the left", "seed": 4, "seconds": 0}
    return maker.generate(GenerationRequest(**values | asked), output=output)


def test_it_is_on_record_and_a_replay_makes_the_same(maker: Hibari, house: Path, tmp_path: Path) -> None:
    full, fast = make(maker, tmp_path / "a.png"), make(maker, tmp_path / "b.png", fast=True)
    assert full.making.latents_sha256 != fast.making.latents_sha256 and not full.as_dict()["fast"]
    digest = file_sha256(house / "models/tiny/loras/fast.safetensors")
    assert fast.revision == f"{full.revision}+fast:1#{digest[:12]}"
    said = fast.as_dict()
    assert (said["fast"], said["steps"], said["guidance"], said["solver"], said["loras"]) == (True, 2, 1.0, "euler", [])
    assert maker.replay(fast.id, output=tmp_path / "c.png").same
    assert maker.replay(full.id, output=tmp_path / "d.png").same, "nothing of it stays with the next request"
    by_hand = make(maker, tmp_path / "e.png", loras=("fast",), steps=2, guidance=1)
    assert by_hand.making.latents_sha256 == fast.making.latents_sha256 and not by_hand.as_dict()["fast"]
    assert maker.replay(by_hand.id, output=tmp_path / "f.png").same


def test_what_was_made_before_it_became_the_default_is_made_as_it_was(
    maker: Hibari, house: Path, tmp_path: Path
) -> None:
    first = make(maker, tmp_path / "a.png", steps=2, guidance=1)
    path = house / "models/tiny/hibari.json"
    before = path.read_text()
    card = json.loads(before)
    path.write_text(json.dumps(card | {"fast": card["fast"] | {"default": True}}))
    try:
        assert make(maker, tmp_path / "b.png").as_dict()["fast"]
        assert maker.replay(first.id, output=tmp_path / "c.png").same
        entry = maker.door.ledger.find(first.id)
        assert entry is not None and entry.request is not None
        older = {name: value for name, value in entry.request.items() if name != "fast"}
        assert asked_again(first.id, older, entry.model, []).fast is False, "an earlier release had no such version"
    finally:
        path.write_text(before)


def test_a_compiled_model_has_none(house: Path, tmp_path: Path) -> None:
    """Compiled blocks run no hooks: it would be on record and not in the frames."""
    compiled = Hibari(home=house, model="tiny", device="cpu", dtype="float32", compile="on")
    with pytest.raises(InvalidRequest, match="nothing laid on its layers") as refused:
        make(compiled, tmp_path / "a.png", fast=True)
    assert refused.value.option == "fast"


def test_a_replay_without_the_very_file_is_refused(maker: Hibari, house: Path, tmp_path: Path) -> None:
    first = make(maker, tmp_path / "a.png", fast=True)
    path = house / "models/tiny/loras/fast.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"\0\0\0\0")
    try:
        with pytest.raises(InvalidRequest, match="was made by revision"):
            maker.replay(first.id, output=tmp_path / "b.png")
    finally:
        path.write_bytes(whole)
