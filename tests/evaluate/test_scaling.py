"""Scaling: weights of more and more compute, from a run's kept ones or from folders, on one sheet. About 20 seconds."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.evaluate.prompts import plain_world
from hibari.evaluate.report import scaling_table
from hibari.evaluate.scaling import Point, make_sheet, measure, points_of, summarise_points
from hibari.model.weights import load_dit, save_dit
from hibari.produce import Hibari
from hibari.train.compute import Compute, keep
from hibari.worlds import World

SPENT = Compute(step=4, steps=8, tokens=100, flops=4e10, from_nothing=True, held_out={"mean": 9.0})


@pytest.fixture
def run_folder(home: Path, tmp_path: Path) -> Path:
    """A run as a recipe leaves it: finished weights, and two transformers that it kept, the second the finished one."""
    run, tiny = tmp_path / "run", home / "models" / "tiny"
    (run / "weights").mkdir(parents=True)
    for part in tiny.iterdir():
        (run / "weights" / part.name).symlink_to(part)
    dit = load_dit(tiny / "transformer")
    ended = replace(SPENT, step=8, flops=16e10)
    keep(run / "dit", ended, partial(save_dit, dit))
    with torch.no_grad():
        dit.proj_out.weight.mul_(3.0)
    keep(run / "dit", SPENT, partial(save_dit, dit))
    return run


def test_a_runs_kept_weights_are_measured_and_shown_side_by_side(home: Path, run_folder: Path, tmp_path: Path) -> None:
    settings, told = Settings(home=home, model="tiny", dtype="float32"), []
    with points_of([str(run_folder)]) as points:
        assert [(point.step, point.flops, point.ended) for point in points] == [(4, 4e10, False), (8, 16e10, True)]
        rows = list(measure(points, settings, plain_world(World()), 3))
        record = make_sheet(
            points, rows, settings, tmp_path / "a.png", ("a fox",), (0, 1), lambda *each: told.append(each)
        )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert rows[0]["mean"] > rows[1]["mean"] > 0.5, "worked out from the weights, not read from what the run wrote"
    entry = Hibari(settings).door.ledger.find(record.id)
    assert entry is not None and len(entry.sources) == 4, "the sheet is recorded with its clips"
    components = [Hibari(settings).door.ledger.find(each.own_id) for each in entry.sources if each.own_id is not None]
    revisions = [each.revision for each in components if each is not None]
    assert len(revisions) == 4 and revisions[:2] != revisions[2:] and revisions[0] == revisions[1]
    with Image.open(record.path) as sheet:
        assert sheet.format == "PNG" and sheet.height > 700
    table = scaling_table(summarise_points(rows, 3, 0))
    assert "| base | 4.00e10 | 4 |" in table and "| 4x | 1.60e11 | 8 |" in table
    assert "a run that ends there is better" in table and "The VAEs differ" not in table


def test_equal_weights_have_equal_losses_and_folders_are_given_their_compute(home: Path, tmp_path: Path) -> None:
    tiny = home / "models" / "tiny"
    other = tmp_path / "other"
    other.mkdir()
    for part in tiny.iterdir():
        (other / part.name).symlink_to(part)
    (other / "compute.json").write_text(json.dumps(vars(SPENT)))
    with points_of([f"{tiny}=1e10", str(other)]) as points:
        assert points == [Point(folder=tiny, flops=1e10), Point(folder=other, flops=4e10, step=4, ended=False)]
        settings = Settings(home=home, model="tiny", dtype="float32")
        first, second = measure(points, settings, plain_world(World()), 2)
    assert first["loss"] == second["loss"] and list(first["loss"]) == ["0.1", "0.3", "0.5", "0.7", "0.9"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["nowhere"], "no weights folder"),
        (["{tiny}"], "compute is not known"),
        (["{tiny}=1e10"], "alone makes no curve"),
        (["{tiny}=many", "{tiny}=2e10"], "no number of FLOPs"),
        (["{tiny}=2e10", "{tiny}=1e10"], "more compute than the one before"),
    ],
)
def test_what_makes_no_curve_is_said_before_work(home: Path, given: list[str], says: str) -> None:
    named = [text.format(tiny=home / "models" / "tiny") for text in given]
    with pytest.raises(InvalidRequest, match=says), points_of(named):
        pass


def test_a_run_without_finished_weights_says_which_stage_is_left(run_folder: Path) -> None:
    (run_folder / "weights" / "model_index.json").unlink()
    with pytest.raises(InvalidRequest, match="not there yet"), points_of([str(run_folder)]):
        pass
