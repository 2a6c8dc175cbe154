"""What training on a pack costs, held to torch's own count of the model's work. About 3 s."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack
from hibari.train.packs import training_flops


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
