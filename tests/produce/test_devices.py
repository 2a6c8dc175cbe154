"""What several devices cannot do is refused before anything is loaded. Less than a second but for the fixture."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hibari import catalog
from hibari.catalog import Rolling
from hibari.config import EngineSettings, Settings
from hibari.errors import InvalidRequest
from hibari.generate.plan import make_plan
from hibari.produce.devices import check_devices
from hibari.produce.held import HeldModels
from hibari.produce.job import prepare
from hibari.request import GenerationRequest, Shortcuts


@pytest.mark.parametrize(
    ("size", "engine", "asked", "option"),
    [
        (2, {}, {}, None),
        (2, {"compile": "on"}, {}, "compile"),
        (2, {"storage": "int8"}, {}, "storage"),
        (2, {}, {"shortcuts": Shortcuts(cache=0.1)}, "shortcuts"),
        (4, {}, {}, None),  # two pairs: two heads for two devices
        (3, {}, {}, "parallel"),
        (3, {"parallel": "ring"}, {}, None),
        (5, {"parallel": "ring"}, {}, "size"),
    ],
)
def test_what_devices_cannot_share_is_refused(
    size: int,
    engine: dict[str, Any],
    asked: dict[str, Any],
    option: str | None,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(size))
    settings = Settings(home=home, model="tiny", engine=EngineSettings(**engine))
    request = GenerationRequest(prompt="a red ball", size="96x64", **asked)
    if option is None:
        assert prepare(request, tmp_path / "a.mp4", settings).fitted is None
        return
    with pytest.raises(InvalidRequest) as caught:
        prepare(request, tmp_path / "a.mp4", settings)
    assert caught.value.option == option and caught.value.hint


def test_what_looks_in_blocks_takes_no_ring(home: Path) -> None:
    model = catalog.find("tiny", Settings(home=home))
    model = replace(
        model,
        card=replace(model.card, rolling=Rolling(window=4, history=2, block=2)),
        form=replace(model.form, rolling=True),
    )
    plan = make_plan(GenerationRequest(prompt="a red ball", seconds=3), model, 1)
    assert plan.windows
    check_devices(model, plan, EngineSettings(parallel="ulysses"), 2)
    with pytest.raises(InvalidRequest, match="ring"):
        check_devices(model, plan, EngineSettings(parallel="ring"), 2)


def test_only_the_first_process_leads(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(InvalidRequest, match="one process"):
        HeldModels(Settings(home=home)).get(catalog.find("tiny", Settings(home=home)), None)
