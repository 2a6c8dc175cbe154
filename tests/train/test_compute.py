"""What training costs, held to torch's own count of the model's work, and what is kept with it. About 3 s."""

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hibari.errors import TrainingError
from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack
from hibari.train.compute import COMPUTE, Compute, keep, kept_folders, training_flops


def test_flops_are_three_forward_passes_without_text_and_modulation() -> None:
    config = DiTConfig(num_attention_heads=2, attention_head_dim=64, ffn_dim=256, num_layers=3, in_channels=16)
    model = WanDiT(config)
    patches, layout = pack([torch.randn(16, 3, 12, 12), torch.randn(16, 1, 16, 16)], (1, 1, 1))
    with torch.no_grad():
        text = model.encode_text([torch.randn(4, 384)] * 2)
        counter = FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), counter:  # the fused kernel of a CPU is not counted
            model(patches, layout, torch.full((layout.num_frames,), 0.5), text)
    assert training_flops(config, layout) == pytest.approx(3 * counter.get_total_flops(), rel=0.05)


def test_what_is_kept_is_whole_in_order_and_read_back(tmp_path: Path) -> None:
    made = [
        Compute(step=step, steps=900, tokens=7, flops=1e12, from_nothing=True, held_out={"mean": 0.5})
        for step in (900, 28, 113)
    ]
    for each in made:
        keep(tmp_path, each, lambda folder: (folder / "weights").touch())
    half = tmp_path / "kept" / "000500.new"
    half.mkdir()
    (half / COMPUTE).write_text("{}")
    folders = kept_folders(tmp_path)
    assert [Compute.read(folder) for folder in folders] == [made[1], made[2], made[0]]
    assert all((folder / "weights").exists() for folder in folders)
    (folders[0] / COMPUTE).write_text('{"step": 3}')
    with pytest.raises(TrainingError, match="cannot be read"):
        Compute.read(folders[0])
