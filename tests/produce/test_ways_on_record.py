"""How a model was held and decoded is on record where it changes numbers, and a replay does the same. About 15 s."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hibari.errors import InvalidRequest, OutputError
from hibari.generate.fit import Decoding, Fit
from hibari.produce import Hibari, Progress
from hibari.produce.foreseen import Made, made_in
from hibari.produce.unfinished import FOLDER
from hibari.provenance.ids import GenerationId
from hibari.request import GenerationRequest
from houses import own_home

ASKED = GenerationRequest(prompt="an octopus drifts to the left", seed=4, seconds=0.5)


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_home(home, tmp_path_factory.mktemp("ways") / "house")


def maker(house: Path, **given: Any) -> Hibari:
    return Hibari(home=house, model="tiny", device="cpu", dtype="float32", **given)


def kept_request(hibari: Hibari, id: GenerationId) -> dict[str, Any]:
    entry = hibari.door.ledger.find(id)
    assert entry is not None and entry.request is not None
    return entry.request


def test_bytes_for_weights_are_on_record_and_replayed(house: Path, tmp_path: Path) -> None:
    plain = maker(house)
    exact = plain.generate(ASKED, output=tmp_path / "exact.mp4")
    assert not {"storage", "decoding"} & {*exact.as_dict(), *kept_request(plain, exact.id)}
    small = maker(house, storage="int8")
    made = small.generate(ASKED, output=tmp_path / "int8.mp4")
    assert made.as_dict()["storage"] == kept_request(small, made.id)["storage"] == "int8"
    assert made.making.latents_sha256 != exact.making.latents_sha256

    assert plain.replay(made.id, output=tmp_path / "again.mp4").same
    assert small.replay(exact.id, output=tmp_path / "once more.mp4").same, "in full, whatever the settings say"
    with pytest.raises(InvalidRequest, match="made with weights as int8; those from the disk come as they are"):
        maker(house, offload="disk").replay(made.id, output=tmp_path / "no.mp4")
    with pytest.raises(InvalidRequest, match="GB may be taken") as refused:
        maker(house, memory=0.01).replay(made.id, output=tmp_path / "no.mp4")
    assert refused.value.hint.startswith("It has to be made as it was, weights as int8: make room")


@pytest.mark.parametrize("by_tile", [False, True])
def test_smaller_pieces_are_on_record_and_replayed(house: Path, tmp_path: Path, by_tile: bool) -> None:
    hibari = maker(house)
    job = hibari.prepare(ASKED, tmp_path / "tiles.mp4")
    assert job.fitted is not None
    job = replace(job, fitted=replace(job.fitted, fit=Fit(frames=1, tile=32, by_tile=by_tile)))
    record = hibari.generate(job)
    assert record.as_dict()["decoding"] == {"frames": 1, "tile": 32, "by_tile": by_tile, "ran_out": False}
    replayed = hibari.replay(record.id, output=tmp_path / "again.mp4")
    assert replayed.same and replayed.record.as_dict()["decoding"] == record.as_dict()["decoding"]


def test_what_was_not_finished_keeps_how_it_was_walked(house: Path, tmp_path: Path) -> None:
    def fail(progress: Progress) -> None:
        if progress.stage == "frames":
            raise RuntimeError("no more memory")

    with pytest.raises(OutputError, match="could not be finished"):
        maker(house, storage="fp8").generate(ASKED, output=tmp_path / "a.mp4", on_progress=fail)
    (path,) = (house / FOLDER).glob("*")
    done = maker(house).finish(GenerationId.parse(path.stem), output=tmp_path / "a.mp4")
    assert done.as_dict()["storage"] == "fp8"
    assert maker(house).replay(done.id, output=tmp_path / "again.mp4").same


def test_memory_that_ran_out_is_on_record() -> None:
    fit = Fit(storage="fp8", offload="parts", frames=1, tile=256)
    assert Made.of(made_in(fit, ran_out=True)) == Made(storage="fp8", decoding=Decoding(1, 256), ran_out=True)
    assert Made.of({}) == Made(decoding=Decoding()), "the plain way"
    before = {"decoding": {"frames": 1, "tile": 256, "ran_out": False}}
    assert Made.of(before).decoding == Decoding(1, 256, by_tile=False), "what an earlier release recorded"
    assert made_in(Fit(offload="disk")) == {}
