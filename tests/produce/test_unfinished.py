"""What was made is not lost where something fails after it, and decoding goes on where memory runs out. About 20 s."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hibari.cli import run
from hibari.config import Settings
from hibari.errors import BadMedia, Cancelled, Held, InvalidRequest, OutputError, Refused
from hibari.generate.fit import Fit
from hibari.produce import Hibari, Progress
from hibari.produce.door import Door
from hibari.produce.frames import decoded
from hibari.produce.unfinished import FOLDER
from hibari.provenance.ids import GenerationId
from hibari.request import GenerationRequest
from hibari.serve.backup import back_up
from houses import own_home

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


def test_what_the_policy_stops_is_not_kept_and_what_cannot_run_loses_nothing(house: Path, tmp_path: Path) -> None:
    held = Held("it waits.", waits_as=1, reason="", advice="", category="violence", option="prompt", hint="")
    one = maker(house)
    for no in (Refused("no.", category="violence"), held):
        with pytest.raises(type(no)):
            one.generate(ASKED, output=tmp_path / "a.mp4", on_progress=failing(no))
        assert not kept(house)
    for failure in (Refused("No key.", hint="Try later."), BadMedia("It is gone.")):
        with pytest.raises(OutputError, match=f"could not be finished: {failure}") as failed:
            one.generate(ASKED, output=tmp_path / "a.mp4", on_progress=failing(failure))
        (path,) = kept(house)
        assert f"--latents {path.stem}" in failed.value.hint
        path.unlink()
    with pytest.raises(ValueError, match="a fault") as fault:  # of ours, and no other error
        one.generate(ASKED, output=tmp_path / "a.mp4", on_progress=failing(ValueError("a fault")))
    assert any(f"--latents {path.stem}" in note for path in kept(house) for note in fault.value.__notes__)


def test_finishing_may_fail_too_and_is_the_same_persons(house: Path, tmp_path: Path) -> None:
    one = maker(house)
    fail = failing(RuntimeError("no more memory"))
    first = one.generate(ASKED, output=tmp_path / "a.mp4", user="ann")
    with pytest.raises(OutputError):
        one.replay(first.id, output=tmp_path / "b.mp4", on_progress=fail, user="bob")
    (path,) = kept(house)
    id = GenerationId.parse(path.stem)
    with pytest.raises(OutputError) as failed:
        one.finish(id, output=tmp_path / "b.mp4", on_progress=fail)
    assert f"--latents {id}" in failed.value.hint
    with pytest.raises(Cancelled):
        one.finish(id, output=tmp_path / "b.mp4", on_progress=failing(Cancelled("stopped as asked.")))
    assert kept(house) == [path], "and once alone"
    done = one.finish(id, output=tmp_path / "b.mp4")
    entry = one.door.ledger.find(done.id)
    assert entry is not None and (entry.user, entry.replay_of) == ("bob", first.id)
    assert not kept(house)


def test_a_model_that_a_path_names_finishes_from_elsewhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare := tmp_path / "bare").mkdir(mode=0o700)
    monkeypatch.chdir(home / "models")
    one = Hibari(home=bare, model="./tiny", device="cpu", dtype="float32")
    with pytest.raises(OutputError):
        one.generate(ASKED, output=tmp_path / "a.mp4", on_progress=failing(RuntimeError("no more memory")))
    (path,) = kept(bare)
    monkeypatch.chdir(tmp_path)
    assert maker(bare).finish(GenerationId.parse(path.stem), output=tmp_path / "a.mp4").plan.frames == 9


def test_without_room_to_keep_it_nothing_is_begun(house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hibari.produce.unfinished.SPARE_BYTES", 1 << 60)
    told: list[str] = []
    with pytest.raises(OutputError, match="MB are needed for what is made") as failed:
        maker(house).generate(ASKED, output=tmp_path / "a.mp4", on_progress=lambda each: told.append(each.stage))
    assert failed.value.option == "home" and set(told) == {"screen"}


def test_it_goes_with_its_persons_data_and_no_backup_has_it(
    house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An erased prompt stands nowhere: not in what she failed to finish, nor in what another failed to make again."""
    first = maker(house).generate(ASKED, output=tmp_path / "a.mp4", user="ann")
    fail = failing(RuntimeError("no more memory"))
    for user in ("ann", "bob"):
        with pytest.raises(OutputError, match="could not be finished"):
            maker(house).generate(ASKED, output=tmp_path / "b.mp4", on_progress=fail, user=user)
    with pytest.raises(OutputError, match="could not be finished"):
        maker(house).replay(first.id, output=tmp_path / "b.mp4", on_progress=fail, user="bob")
    assert len(kept(house)) == 3

    back_up(Settings(home=house), tmp_path / "backup")
    assert not (tmp_path / "backup" / FOLDER).exists()
    assert run(["ledger", "export", "ann", "--home", str(house)]) == 0
    (exported,) = json.loads(capsys.readouterr().out)["unfinished"]
    assert exported["request"]["prompt"] == ASKED.prompt

    assert run(["ledger", "erase", "ann", "--yes", "--home", str(house)]) == 0
    assert json.loads(capsys.readouterr().out)["files_deleted"] == 2
    (left,) = kept(house)
    assert left.stem != exported["id"]
    assert run(["ledger", "erase", "bob", "--yes", "--home", str(house)]) == 0
    assert not kept(house)


def test_what_nobody_came_back_for_goes_when_the_door_opens(house: Path) -> None:
    (house / FOLDER).mkdir(mode=0o700)
    old, new = (house / FOLDER / f"{GenerationId.new()}.safetensors" for _ in range(2))
    for path in (old, new):
        path.write_bytes(b"-")
    os.utime(old, (0, 0))
    Door.open(Settings(home=house))
    assert kept(house) == [new]
    (house / FOLDER).chmod(0o755)
    with pytest.raises(Refused, match="open to others"):
        Door.open(Settings(home=house))


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
    told: list[Fit] = []

    def decode(latent_CTHW: Tensor, fit: Fit) -> Iterator[np.ndarray]:
        """As a machine with room for three whole frames, and for any number of tiles of 256."""
        tried.append(fit)
        for number in range(latent_CTHW.shape[1]):
            if number == 3 and (fit.tile is None or fit.tile > 256):
                raise MemoryError
            yield np.full((2, 2, 3), number, np.uint8)

    backend: Any = SimpleNamespace(decode=decode)
    frames = [int(frame[0, 0, 0]) for frame in decoded(backend, torch.zeros(1, 6, 1, 1), Fit(), told.append)]
    assert frames == list(range(6)), "each once, in order"
    assert told == tried[1:]
    assert [(fit.frames, fit.tile) for fit in tried] == [(2, None), (1, None), (1, 512), (1, 512), (1, 256)]


def test_other_errors_and_the_last_way_come_through() -> None:
    told: list[Fit] = []

    def decode(_: Tensor, fit: Fit) -> Iterator[np.ndarray]:
        raise MemoryError if fit.frames == 1 else RuntimeError("shapes differ")
        yield

    backend: Any = SimpleNamespace(decode=decode)
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(decoded(backend, torch.zeros(1, 6, 1, 1), Fit(), told.append))
    with pytest.raises(MemoryError):
        list(decoded(backend, torch.zeros(1, 6, 1, 1), Fit(frames=1), told.append))
    assert [fit.tile for fit in told] == [512, 512, 256, 128]
