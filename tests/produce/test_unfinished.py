"""What was made is not lost where something fails after it, and decoding goes on where memory runs out. About 12 s."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hibari.errors import Cancelled, InvalidRequest, OutputError
from hibari.generate.fit import Fit
from hibari.produce import Hibari, Progress
from hibari.produce.frames import decoded
from hibari.produce.unfinished import FOLDER
from hibari.provenance.ids import GenerationId
from hibari.request import GenerationRequest
from tests.houses import own_home

ASKED = GenerationRequest(prompt="an octopus drifts to the left", seed=4)


@pytest.fixture
def house(home: Path, tmp_path: Path) -> Path:
    return own_home(home, tmp_path / "house")


def maker(house: Path) -> Hibari:
    return Hibari(home=house, model="tiny", device="cpu", dtype="float32")


def kept(house: Path) -> list[Path]:
    return list((house / FOLDER).glob("*"))


def failing(error: BaseException) -> Any:
    """A callback that raises at the third frame, as a machine may at any."""

    def fail(progress: Progress) -> None:
        if (progress.stage, progress.done) == ("frames", 3):
            raise error

    return fail


def test_a_failure_after_the_walk_loses_nothing(house: Path, tmp_path: Path) -> None:
    whole = maker(house).generate(ASKED, output=tmp_path / "whole.mp4")
    with pytest.raises(OutputError, match="could not be finished: no more memory") as failed:
        maker(house).generate(ASKED, output=tmp_path / "a.mp4", on_progress=failing(RuntimeError("no more memory")))
    assert not (tmp_path / "a.mp4").exists()
    (path,) = kept(house)
    assert f"hibari generate --latents {path.stem}" in failed.value.hint
    assert path.stat().st_mode & 0o077 == 0

    told: list[str] = []
    done = maker(house).finish(
        GenerationId.parse(path.stem), output=tmp_path / "b.mp4", on_progress=lambda each: told.append(each.stage)
    )
    assert done.making.frames_sha256 == whole.making.frames_sha256
    assert done.id not in (whole.id, GenerationId.parse(path.stem))
    assert told[0] == "screen", "through the door like any other"
    assert not kept(house)


@pytest.mark.parametrize("error", [Cancelled("stopped as asked."), KeyboardInterrupt()])
def test_what_was_stopped_is_not_kept(house: Path, tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        maker(house).generate(ASKED, output=tmp_path / "a.mp4", on_progress=failing(error))
    assert not kept(house)


def test_what_is_not_there_or_not_whole_is_said(house: Path) -> None:
    id = GenerationId.new()
    with pytest.raises(InvalidRequest, match=r"nothing of .* is kept"):
        maker(house).finish(id)
    (house / FOLDER).mkdir()
    (house / FOLDER / f"{id}.safetensors").write_bytes(b"cut short")
    with pytest.raises(InvalidRequest, match="not whole"):
        maker(house).finish(id)


def test_decoding_goes_on_in_smaller_pieces() -> None:
    tried: list[Fit] = []

    def decode(latent_CTHW: Tensor, fit: Fit) -> Iterator[np.ndarray]:
        """As a machine with room for three whole frames, and for any number of tiles of 256."""
        tried.append(fit)
        for number in range(latent_CTHW.shape[1]):
            if number == 3 and (fit.tile is None or fit.tile > 256):
                raise MemoryError
            yield np.full((2, 2, 3), number, np.uint8)

    backend: Any = SimpleNamespace(decode=decode)
    frames = [int(frame[0, 0, 0]) for frame in decoded(backend, torch.zeros(1, 6, 1, 1), Fit())]
    assert frames == list(range(6)), "each once, in order"
    assert [(fit.frames, fit.tile) for fit in tried] == [(2, None), (1, None), (1, 512), (1, 256)]


def test_other_errors_and_the_last_way_come_through() -> None:
    def decode(_: Tensor, fit: Fit) -> Iterator[np.ndarray]:
        raise MemoryError if fit.frames == 1 else RuntimeError("shapes differ")
        yield

    backend: Any = SimpleNamespace(decode=decode)
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(decoded(backend, torch.zeros(1, 6, 1, 1), Fit()))
    with pytest.raises(MemoryError):
        list(decoded(backend, torch.zeros(1, 6, 1, 1), Fit(frames=1)))
