"""The loop at tiny size: exact resume, interruption, measures of the averaged weights, bad losses. About 3 s."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hibari.errors import TrainingError
from hibari.train.checkpoint import whole_folder
from hibari.train.loop import Hooks, LoopConfig, train
from hibari.train.optim import OptimConfig


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 1).bfloat16()


def config(steps: int, **changes: object) -> LoopConfig:
    optim = OptimConfig(lr=1e-2, warmup=2, steps=steps, final_lr=1.0)
    return LoopConfig(**{"optim": optim, "log_every": 1, "measure_every": 5} | changes)  # type: ignore[arg-type]


def loss_of(model: nn.Module, stop_at: int = -1) -> Hooks:
    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step)).bfloat16()
        return (model(x) - x.sum(1, keepdim=True)).float().square().mean(), {}

    return Hooks(loss)


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_resume_is_exact(tmp_path: Path) -> None:
    whole = small_model()
    train(whole, tmp_path / "whole", config(20), loss_of(whole))
    first = small_model()
    with pytest.raises(KeyboardInterrupt):
        train(first, tmp_path / "parts", config(20), loss_of(first, stop_at=12))
    second = small_model()
    train(second, tmp_path / "parts", config(20), loss_of(second))
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == 20
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_checkpoint_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    model = small_model()
    train(model, tmp_path, config(3), loss_of(model))
    other = LoopConfig(optim=OptimConfig(lr=5e-3, warmup=2, steps=6, final_lr=1.0))
    with pytest.raises(TrainingError, match="another lr"):
        train(model, tmp_path, other, loss_of(model))


def test_measure_sees_averaged_weights_and_training_goes_on_with_its_own(tmp_path: Path) -> None:
    model = small_model()
    seen: list[Tensor] = []

    def measure(step: int) -> dict[str, float]:
        seen.append(model.weight.detach().clone())
        return {"step": step}

    optimizer = train(model, tmp_path, config(6), Hooks(loss_of(model).loss, measure))
    assert len(seen) == 2  # after step 5, and at the end
    torch.testing.assert_close(seen[-1], optimizer.averaged()["weight"].bfloat16())
    assert not torch.equal(optimizer.masters[0], optimizer.average[0])


def test_a_loss_that_is_not_a_number_stops_the_run_before_it_spoils_the_weights(tmp_path: Path) -> None:
    model = small_model()

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        return model.weight.sum().float() * (float("nan") if step == 3 else 1.0), {}

    with pytest.raises(TrainingError, match="step 3"):
        train(model, tmp_path, config(10), Hooks(loss))
    assert json.loads((tmp_path / "checkpoint" / "run.json").read_text())["step"] == 3
    assert torch.isfinite(model.weight).all()


def test_stops_by_the_clock_and_goes_on(tmp_path: Path) -> None:
    model = small_model()
    train(model, tmp_path, config(10, stop_after_seconds=1e-9), loss_of(model))
    assert len(losses(tmp_path)) == 1
    train(model, tmp_path, config(10), loss_of(model))
    assert len(losses(tmp_path)) == 10


def kept_by(model: nn.Module, out: Path, kills: list[int]) -> Hooks:
    """Hooks that write the weights to `out/kept-STEP`, and are killed before that at each of `kills`, once."""

    def keep(step: int) -> None:
        if step in kills:
            kills.remove(step)
            raise KeyboardInterrupt
        torch.save(model.state_dict(), out / f"kept-{step}")

    return replace(loss_of(model), keep=keep)


def test_kept_weights_are_the_averages_and_a_run_that_is_stopped_keeps_the_same(tmp_path: Path) -> None:
    keep = (0.1, 0.5, 1.0)
    whole = small_model()
    optimizer = train(whole, tmp_path, config(20, keep=keep), kept_by(whole, tmp_path, []))
    first = {step: torch.load(tmp_path / f"kept-{step}") for step in (2, 10, 20)}
    torch.testing.assert_close(first[20]["weight"], optimizer.averaged()["weight"].bfloat16())
    assert not torch.equal(first[2]["weight"], first[10]["weight"])
    parts = tmp_path / "parts"
    parts.mkdir()
    kills = [2, 10]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            again = small_model()
            train(again, parts, config(20, keep=keep), kept_by(again, parts, kills))
    last = small_model()
    train(last, parts, config(20, keep=keep), kept_by(last, parts, kills))
    assert losses(parts) == losses(tmp_path)
    for step, weights in first.items():
        assert torch.equal(torch.load(parts / f"kept-{step}")["weight"], weights["weight"]), step


def test_keeping_that_cannot_be_is_refused(tmp_path: Path) -> None:
    model = small_model()
    with pytest.raises(TrainingError, match="keeps no weights"):
        train(model, tmp_path, config(4, keep=(0.5,)), loss_of(model))
    with pytest.raises(TrainingError, match="no shares"):
        train(model, tmp_path, config(4, keep=(1.5,)), kept_by(model, tmp_path, []))


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "000004"
    with pytest.raises(KeyboardInterrupt), whole_folder(folder) as fresh:
        (fresh / "half").write_text("")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "000004.new").mkdir()  # as a kill leaves it
    (tmp_path / "000004.new" / "half").write_text("")
    for text in ("first", "second"):
        with whole_folder(folder) as fresh:
            (fresh / "file").write_text(text)
    assert [path.name for path in tmp_path.iterdir()] == ["000004"]
    assert [path.name for path in folder.iterdir()] == ["file"] and (folder / "file").read_text() == "second"
