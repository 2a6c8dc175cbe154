"""The benchmarks run on the tiny random model, and count operations as torch does. About 30 seconds."""

import json
import subprocess
import sys
from pathlib import Path

import ablations
import pytest
import torch
from accounts import denoise_flops
from torch.utils.flop_counter import FlopCounterMode

from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack
from hibari.recipes.mini import MINI
from hibari.recipes.settings import override

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_operations_are_counted_as_torch_counts_them() -> None:
    config = DiTConfig(
        num_attention_heads=2, attention_head_dim=128, ffn_dim=320, num_layers=2, in_channels=8, out_channels=8
    )
    model = WanDiT(config)
    model.init_weights()
    patches_LP, layout = pack([torch.randn(8, 3, 4, 6)], config.patch_size)
    keys = model.encode_text([torch.randn(9, config.text_dim)])
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(patches_LP, layout, torch.ones(3), keys)
    # Torch also counts the embedding of three noise levels, and it does not count a CPU's attention.
    levels = 2 * 3 * (config.freq_dim * config.width + 7 * config.width**2)
    tokens, keys_met = layout.num_tokens, layout.num_tokens + 9 + 1
    attention = 2 * config.num_layers * 2 * tokens * keys_met * config.width
    ours = denoise_flops(config, layout.grids[0], 9 + 1)
    assert ours - attention == pytest.approx(counter.get_total_flops() - levels, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "facts"),
    [
        ("shell_to_file", ["--runs", "1"], ["best run, s", "denoise GFLOP", "matmul bf16 GFLOP/s"]),
        ("decode_memory", [], ["difference"]),
        ("foreign", ["--runs", "1", "--size", "192x112", "--keys", "1"], ["worst run, s"]),
        ("credentials", ["--runs", "1", "--size", "128x96"], ["sign cpu ms, text to video"]),
        ("door", ["--seconds", "0.75"], ["the door, % of the work"]),
        ("pace", ["--seconds", "0.75", "--runs", "1"], ["seconds of video"]),
        ("fingerprints", ["--clips", "1", "--hashes", "2000"], ["search for one frame, ms wall"]),
        pytest.param("against_diffusers", ["--runs", "1"], ["agreement, dB"], marks=pytest.mark.slow),
    ],
)
def test_it_runs(home: Path, tmp_path: Path, name: str, arguments: list[str], facts: list[str]) -> None:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--model", "tiny", "--home", str(home)]
    done = subprocess.run([*command, "--out", str(tmp_path), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["rows"] and set(facts) <= set(result) and facts[0] in done.stdout


def test_a_peak_is_that_of_the_process_itself() -> None:
    held = bytearray(b"x") * 600_000_000  # what Linux hands on to a child as its own peak
    code = "import sys, torch, wan_shapes; print(wan_shapes.held_megabytes(torch.device('cpu')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert 20 < float(done.stdout) < len(held) / 1e6


def test_ablations_differ_from_the_recipe_and_from_each_other() -> None:
    runs = [override(MINI, ablations.settings(changes, 100)) for changes in ablations.VARIANTS.values()]
    assert len(set(map(repr, runs))) == len(ablations.VARIANTS)
    assert runs[0].dit.model == MINI.dit.model and runs[0].dit.loop.optim.steps == 100
    sizes = [sum(each.numel() for each in WanDiT(run.dit.model).parameters()) for run in runs[:3]]
    assert max(sizes) < 1.15 * min(sizes), "width against depth, of one size"


def test_each_names_its_command() -> None:
    for path in BENCHMARKS.glob("*.py"):
        if path.name != "accounts.py":
            assert f"    python benchmarks/{path.name} " in path.read_text()
