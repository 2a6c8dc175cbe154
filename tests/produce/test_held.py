"""Which models stay loaded, and that those which do have room beside each other. About 10 s."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hibari.config import EngineSettings, ServiceSettings, Settings
from hibari.errors import InvalidRequest
from hibari.generate.fit import Fit
from hibari.generate.fitting import ROOM
from hibari.produce.foreseen import Fitted
from hibari.produce.held import HeldModels
from hibari.produce.job import Job, prepare
from hibari.request import GenerationRequest

NAMES = ("tiny", "twin", "third")


@pytest.fixture(scope="module")
def three(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("three") / "home"
    for name in NAMES:
        shutil.copytree(home / "models" / "tiny", folder / "models" / name)
    return folder


def settings_of(home: Path, held: int, **engine: Any) -> Settings:
    own = ServiceSettings(models_held=held)
    return Settings(home=home, device="cpu", dtype="float32", service=own, engine=EngineSettings(**engine))


def jobs(settings: Settings, folder: Path) -> dict[str, tuple[Job, Fitted]]:
    made = {}
    for name in NAMES:
        job = prepare(GenerationRequest(prompt="a ball", model=name, seed=1), folder / "a.mp4", settings)
        assert job.fitted is not None and job.fit == Fit()
        made[name] = (job, job.fitted)
    return made


def test_the_one_that_was_not_used_for_longest_goes(three: Path, tmp_path: Path) -> None:
    settings = settings_of(three, 2)
    held, asked = HeldModels(settings), jobs(settings, tmp_path)
    backends = {}
    for name in ("tiny", "twin", "tiny", "third"):
        job, fitted = asked[name]
        backends[name] = held.get(job.model, fitted)
    assert held.names == ("tiny", "third")
    job, fitted = asked["tiny"]
    assert held.get(job.model, fitted).num_threads == backends["tiny"].num_threads
    assert held.names == ("third", "tiny")


def test_one_model_is_never_there_in_two_ways(three: Path, tmp_path: Path) -> None:
    settings = settings_of(three, 3)
    held, (job, fitted) = HeldModels(settings), jobs(settings, tmp_path)["tiny"]
    held.get(job.model, fitted)
    held.get(job.model, replace(fitted, fit=Fit(storage="int8")))
    assert held.names == ("tiny",)


def test_models_that_have_no_room_beside_each_other_take_turns(three: Path, tmp_path: Path) -> None:
    (_, fitted) = jobs(settings_of(three, 3), tmp_path)["tiny"]
    peak, idle = fitted.forecast.peak_main, min(fitted.forecast.main.values())
    for beside, want in ((0.5, ("third",)), (1.5, ("twin", "third")), (2.5, NAMES)):
        settings = settings_of(three, 3, memory=(peak / ROOM + beside * idle) / 1e9)
        held = HeldModels(settings)
        for job, each in jobs(settings, tmp_path).values():
            held.get(job.model, each)
        assert held.names == want


@pytest.mark.parametrize("engine", [{"storage": "int8"}, {"offload": "parts"}, {"memory": 4.0}])
def test_several_devices_refuse_what_they_would_not_do(
    three: Path, tmp_path: Path, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    request = GenerationRequest(prompt="a ball", model="tiny")
    with pytest.raises(InvalidRequest, match="several devices hold a model whole") as refused:
        prepare(request, tmp_path / "a.mp4", settings_of(three, 1, **engine))
    assert refused.value.option == next(iter(engine))
    assert prepare(request, tmp_path / "a.mp4", settings_of(three, 1)).fitted is None
