"""The step cache: exact where it never reuses, and what it reuses is the last full pass's. About 2 seconds."""

import torch

from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack
from hibari.model.step_cache import StepCache, with_step_cache

CONFIG = DiTConfig(num_attention_heads=2, attention_head_dim=28, ffn_dim=80, num_layers=3)


@torch.inference_mode()
def test_a_pass_that_changed_little_takes_over_the_other_blocks() -> None:
    torch.manual_seed(3)
    model = WanDiT(CONFIG)
    for parameter in model.parameters():
        parameter.normal_(std=0.15).add_(0.02)
    keys = model.encode_text([torch.randn(4, 384)])
    patches_LP, layout = pack([torch.randn(48, 2, 3, 4)], (1, 1, 1))
    levels = torch.full((2,), 0.5)
    exact = model(patches_LP, layout, levels, keys)
    cache = StepCache(0.05)
    view = with_step_cache(model, cache)
    assert torch.equal(view(patches_LP, layout, levels, keys), exact)
    near = patches_LP + 0.01 * torch.randn_like(patches_LP)
    short = view(near, layout, levels, keys)
    whole = model(near, layout, levels, keys)
    assert (cache.passes, cache.reused) == (2, 1)
    assert 0 < (short - whole).norm() < 0.1 * whole.norm()
    far = torch.randn_like(patches_LP)
    assert torch.equal(view(far, layout, levels, keys), model(far, layout, levels, keys))
    two_LP, two = pack([torch.randn(48, 2, 3, 4)] * 2, (1, 1, 1))
    both = keys.select((0, 0))
    assert torch.equal(view(two_LP, two, levels.repeat(2), both), model(two_LP, two, levels.repeat(2), both))
    assert cache.reused == 1 and model.blocks[0] is not view.blocks[0]
