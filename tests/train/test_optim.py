"""The optimizer against torch's own, and what bf16 weights need of it. About 2 s."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from hibari.train.optim import MasterOptimizer, OptimConfig

CONFIG = OptimConfig(lr=1e-2, warmup=1, steps=1000, final_lr=1.0, clip=1e9, weight_decay=0.1, ema=0.5)


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def test_equals_torch_adamw_in_fp32() -> None:
    ours, theirs = small_model(), small_model()
    optimizer = MasterOptimizer(ours, CONFIG)
    matrices = [p for p in theirs.parameters() if p.dim() > 1]
    vectors = [p for p in theirs.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99))
    x = torch.randn(16, 4)
    for step in range(5):
        ours(x).square().mean().backward()
        optimizer.step(step)
        theirs(x).square().mean().backward()
        reference.step()
        reference.zero_grad()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_updates_below_a_step_of_bf16_are_not_lost() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    model.bfloat16()
    optimizer = MasterOptimizer(model, OptimConfig(lr=1e-4, warmup=1, steps=10**6, weight_decay=0.0))
    for step in range(100):  # each moves the weight by 1e-4; a step of bf16 at 1 is 4e-3
        model(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        optimizer.step(step)
    assert model.weight.item() == pytest.approx(0.99, abs=4e-3)
    assert optimizer.masters[0].item() == pytest.approx(0.99, abs=1e-3)


def test_learning_rate_warms_up_and_falls() -> None:
    config = OptimConfig(lr=1.0, warmup=10, steps=110, final_lr=0.1)
    assert config.lr_at(0) == pytest.approx(0.1)
    assert config.lr_at(9) == pytest.approx(1.0)
    assert config.lr_at(60) == pytest.approx(0.55)
    assert config.lr_at(110) == pytest.approx(0.1)
    assert config.lr_at(500) == pytest.approx(0.1)


def test_average_follows_the_masters() -> None:
    model = small_model()
    optimizer = MasterOptimizer(model, CONFIG)
    before = [m.clone() for m in optimizer.masters]
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step(10**6)
    for average, old, new in zip(optimizer.average, before, optimizer.masters, strict=True):
        torch.testing.assert_close(average, (old + new) / 2)


def test_muon_takes_the_matrices_and_adamw_the_rest() -> None:
    ours, theirs = small_model(), small_model()
    optimizer = MasterOptimizer(ours, replace(CONFIG, muon_lr=2e-2))
    muon = torch.optim.Muon([theirs[0].weight], lr=2e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    vectors = [p for p in theirs.parameters() if p.dim() == 1]
    groups = [{"params": [theirs[2].weight], "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99))  # a single row is no matrix
    x = torch.randn(16, 4)
    for step in range(5):
        ours(x).square().mean().backward()
        optimizer.step(step)
        theirs(x).square().mean().backward()
        for reference in (muon, adamw):
            reference.step()
            reference.zero_grad()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_muon_goes_on_bit_for_bit_with_kernels_of_convolutions() -> None:
    def model() -> nn.Module:
        torch.manual_seed(1)
        return nn.Conv3d(3, 5, 3).to(memory_format=torch.channels_last_3d)

    def run(optimizer: MasterOptimizer, module: nn.Module, steps: range) -> None:
        for step in steps:
            x = torch.randn(2, 3, 3, 3, 3, generator=torch.Generator().manual_seed(step))
            module(x).square().mean().backward()
            optimizer.step(step)

    config = replace(CONFIG, muon_lr=1e-2)
    whole, stopped, resumed = model(), model(), model()
    run(MasterOptimizer(whole, config), whole, range(6))
    first = MasterOptimizer(stopped, config)
    run(first, stopped, range(3))
    second = MasterOptimizer(resumed, config)
    second.load_tensors({name: value.clone() for name, value in first.tensors().items()})
    run(second, resumed, range(3, 6))
    assert torch.equal(whole.weight, resumed.weight)
    assert not torch.equal(whole.weight, stopped.weight)
    assert second.averaged()["weight"].shape == whole.weight.shape
