"""Every family that diffusers runs leaves through the same door as the rest. About 20 seconds."""

import os
from pathlib import Path

import pytest

from hibari.media.decode import probe
from hibari.produce import Hibari, Progress
from hibari.provenance.verify import Verifier
from hibari.request import GenerationRequest
from tiny_foreign import FAMILIES, build_tiny_foreign

TEXT = [name for name in FAMILIES if not name.endswith("-image")]
# Of Mochi, which asks for float32 and gets it anyway, and of Helios' scheduler.
pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast", "ignore:__array_wrap__ must accept")


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    """A data folder with every tiny family in it."""
    house = tmp_path_factory.mktemp("house")
    house.chmod(0o700)
    for name in TEXT:
        build_tiny_foreign(house / "models" / name, name)
    return Hibari(home=house, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def verifier(maker: Hibari) -> Verifier:
    _ = maker.door
    return Verifier.open(maker.settings)


@pytest.mark.parametrize("family", TEXT)
def test_every_family_leaves_marked_and_recorded(
    maker: Hibari, verifier: Verifier, tmp_path: Path, family: str
) -> None:
    told: list[Progress] = []
    request = GenerationRequest(prompt="a hare runs", seed=4, model=family, size="480x320", seconds=0.5)
    record = maker.generate(request, output=tmp_path / "a.mp4", on_progress=told.append)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.fps, info.frames) == (480, 320, 8, 4)
    assert [each.done for each in told if each.stage == "denoise"] == [0, 1, 2]
    answer = verifier.verify(tmp_path / "a.mp4")
    assert (answer.made_here, answer.intact, answer.id) == (True, True, record.id)
    assert answer.watermark.found and answer.entry is not None and answer.entry.request is not None
    assert answer.entry.request["run_by"].startswith("diffusers ")
    assert (answer.entry.model, answer.entry.revision, answer.entry.seed) == (family, "3", 4)
    assert os.listdir(tmp_path) == ["a.mp4"]
