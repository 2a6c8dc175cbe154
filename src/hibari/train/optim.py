"""AdamW and Muon on fp32 master weights beside a model of any precision, with an exponential moving average.

The model may hold bf16 weights, which CPUs and GPUs multiply fastest; updates smaller than bf16's
steps would be lost there, so the optimizer keeps fp32 masters, updates those and copies them down.
Sources: AdamW, arXiv 1711.05101; Muon, Jordan et al. 2024, scaled to AdamW's step as in arXiv 2502.16982;
EMA of weights for diffusion, arXiv 2006.11239.
"""

from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Learning rate and its course, decay, clipping and averaging. Steps are optimizer steps.

    muon_lr: for matrices and the kernels of convolutions, on the same course as `lr`; 0 leaves them to AdamW.
    """

    lr: float = 1e-3
    muon_lr: float = 0.0
    warmup: int = 100
    steps: int = 10_000
    final_lr: float = 0.0  # as a share of lr, reached by a cosine at `steps`
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999

    def lr_at(self, step: int) -> float:
        """The learning rate of step 0, 1, 2 …"""
        return self.lr * self.course(step)

    def course(self, step: int) -> float:
        """The share of the full learning rate at a step: a linear rise, then half a cosine."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.final_lr + (1 - self.final_lr) * 0.5 * (1 + cos(pi * done))


class MasterOptimizer:
    """Updates named fp32 masters; `step` reads the model's gradients and writes its weights.

    Masters are held as matrices, a convolution's kernel as one row for each output channel.
    """

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        self.config = config
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        self.params: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.masters = [_as_matrix(p.detach()).float().clone() for p in self.params]
        self.average = [m.clone() for m in self.masters]
        self.muon: torch.optim.Muon | None = None
        by_muon = [m for m in self.masters if m.dim() > 1 and min(m.shape) > 1 and config.muon_lr > 0]
        if by_muon:
            self.muon = torch.optim.Muon(
                by_muon, lr=config.muon_lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        rest = [m for m in self.masters if not any(m is taken for taken in by_muon)]
        groups = [
            {"params": [m for m in rest if m.dim() > 1], "weight_decay": config.weight_decay},
            {"params": [m for m in rest if m.dim() <= 1], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, foreach=True)

    def step(self, step: int) -> tuple[float, float]:
        """One update; returns the gradient's norm before clipping and AdamW's learning rate."""
        lr = self.config.lr_at(step)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        for param, master in zip(self.params, self.masters, strict=True):
            master.grad = torch.zeros_like(master) if param.grad is None else _as_matrix(param.grad).float()
            param.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self.masters, self.config.clip, foreach=True)
        self.adamw.step()
        if self.muon is not None:
            self.muon.param_groups[0]["lr"] = self.config.muon_lr * self.config.course(step)
            self.muon.step()
        with torch.no_grad():
            for param, master in zip(self.params, self.masters, strict=True):
                master.grad = None
                param.copy_(master.view_as(param))
            # Early on a long average would hold the random start, so the window grows with the run.
            decay = min(self.config.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.average, self.masters, 1 - decay)
        return float(norm), lr

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights by name, fp32, in the model's shapes."""
        parts = zip(self.names, self.params, self.average, strict=True)
        return {name: average.view_as(param) for name, param, average in parts}

    def fill(self, source: list[Tensor]) -> None:
        """Write the masters, or their averages, into the model."""
        with torch.no_grad():
            for param, value in zip(self.params, source, strict=True):
                param.copy_(value.view_as(param))

    def tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as one flat table of tensors."""
        table: dict[str, Tensor] = {}
        for name, master, average in zip(self.names, self.masters, self.average, strict=True):
            table[f"master/{name}"] = master
            table[f"average/{name}"] = average
            for key, value in self._optimizer_of(master).state.get(master, {}).items():
                table[f"{key}/{name}"] = value
        return table

    def load_tensors(self, table: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave, bit for bit; a missing name raises KeyError."""
        states: dict[str, dict[str, Tensor]] = {}
        for key, value in table.items():
            kind, _, name = key.partition("/")
            if kind not in ("master", "average"):
                states.setdefault(name, {})[kind] = value.clone()
        with torch.no_grad():
            for name, master, average in zip(self.names, self.masters, self.average, strict=True):
                master.copy_(table[f"master/{name}"])
                average.copy_(table[f"average/{name}"])
                if name in states:
                    self._optimizer_of(master).state[master] = states[name]
        self.fill(self.masters)

    def _optimizer_of(self, master: Tensor) -> torch.optim.Optimizer:
        if self.muon is not None and any(master is m for m in self.muon.param_groups[0]["params"]):
            return self.muon
        return self.adamw


def _as_matrix(x: Tensor) -> Tensor:
    return x.flatten(1) if x.dim() > 1 else x
