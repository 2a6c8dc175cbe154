"""`hibari train mini` from nothing to a folder that diffusers opens, at tiny size and two steps. About 25 s."""

import json
from pathlib import Path

import pytest
import torch

from hibari.errors import TrainingError
from hibari.model.weights import load_dit, load_vae
from hibari.recipes import run
from hibari.shapes import PackLayout
from hibari.train.compute import Compute, kept_folders
from hibari.train.objective import spread_frames
from tiny_recipe import TINY


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run("mini", TINY, tmp_path_factory.mktemp("home"))


def test_log_holds_losses_and_held_out_measures(weights: Path) -> None:
    rows = [json.loads(line) for line in (weights.parent / "dit" / "log.jsonl").read_text().splitlines()]
    assert any("loss_at_0.5" in row.get("measure", {}) for row in rows)
    rows = [json.loads(line) for line in (weights.parent / "vae" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["measure"]["clips"] == 2 and rows[-1]["measure"]["psnr_clips"] > 5


def test_weights_kept_on_the_way_and_what_they_cost(weights: Path) -> None:
    kept = kept_folders(weights.parent / "dit")
    assert [path.name for path in kept] == ["000001", "000005"], "1/32 and 1/8 of five steps are the first"
    first, last = (Compute.read(folder) for folder in kept)
    assert last == Compute.read(weights) and last.steps == 5 and last.from_nothing
    # Two steps on pictures and three on clips; the first pack has at most 128 tokens, a clip with its reference more.
    assert 0 < first.tokens <= 128 and 5 * first.tokens < last.tokens <= 2 * 128 + 3 * 2 * 192
    assert first.flops * 5 < last.flops and set(last.held_out) == {*(f"loss_at_0.{n}" for n in (1, 3, 5, 7, 9)), "mean"}
    ended, early = load_dit(kept[1]).state_dict(), load_dit(kept[0]).state_dict()
    exported = load_dit(weights / "transformer").state_dict()
    assert all(torch.equal(ended[key], exported[key]) for key in exported)
    assert not all(torch.equal(early[key], exported[key]) for key in exported)


def test_samples_on_the_way(weights: Path) -> None:
    assert [path.name for path in (weights.parent / "samples").glob("*.mp4")] == ["000003-0.mp4"]


def test_a_finished_run_is_not_run_again(weights: Path) -> None:
    before = (weights.parent / "dit" / "log.jsonl").read_text()
    run("mini", TINY, weights.parent.parent.parent)
    assert (weights.parent / "dit" / "log.jsonl").read_text() == before


def test_diffusers_opens_the_folder(weights: Path) -> None:
    from diffusers import WanPipeline

    pipeline = WanPipeline.from_pretrained(weights)
    ours = load_dit(weights / "transformer")
    vae = load_vae(weights / "vae")
    assert len(vae.config.latents_mean) == 16
    x = torch.randn(1, 16, 3, 4, 4)
    layout = PackLayout(())
    states = torch.randn(5, 384)
    with torch.no_grad():
        padded = torch.cat([states, torch.zeros(507, 384)])[None]
        theirs = pipeline.transformer(x, torch.tensor([500]), padded, return_dict=False)[0]
        from hibari.model.packing import pack, unpack

        patches, layout = pack([x[0]], (1, 1, 1))
        levels = torch.full((layout.num_frames,), 0.5)
        assert len(spread_frames(levels, layout)) == 48
        mine = unpack(ours(patches, layout, levels, ours.encode_text([states])), layout, 16, (1, 1, 1))[0]
    torch.testing.assert_close(mine, theirs[0], rtol=0, atol=1e-4 * float(theirs.abs().max()))


def test_wrong_names_fail_at_once(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Recipes: mini, mini-gpu"):
        run("maxi", [], tmp_path)
    with pytest.raises(TrainingError, match="unknown stage"):
        run("mini", ['stages=["bake"]'], tmp_path)
    with pytest.raises(TrainingError, match="there is no 'stepz'"):
        run("mini", ["dit.loop.optim.stepz=3"], tmp_path)
