"""AdamW on fp32 master weights beside a model of any precision, with an exponential moving average.

The model may hold bf16 weights, which CPUs and GPUs multiply fastest; updates smaller than bf16's
steps would be lost there, so the optimizer keeps fp32 masters, updates those and copies them down.
Sources: AdamW, arXiv 1711.05101; EMA of weights for diffusion, arXiv 2006.11239.
"""

from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Learning rate and its course, decay, clipping and averaging. Steps are optimizer steps."""

    lr: float = 1e-3
    warmup: int = 100
    steps: int = 10_000
    final_lr: float = 0.0  # as a share of lr, reached by a cosine at `steps`
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999

    def lr_at(self, step: int) -> float:
        """The learning rate of step 0, 1, 2 …"""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.lr * (self.final_lr + (1 - self.final_lr) * 0.5 * (1 + cos(pi * done)))


class MasterAdamW:
    """AdamW over named fp32 masters; `step` reads the model's gradients and writes its weights."""

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        self.config = config
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        self.params: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.masters = [p.detach().float().clone() for p in self.params]
        self.average = [m.clone() for m in self.masters]
        matrices = [m for m in self.masters if m.dim() > 1]
        vectors = [m for m in self.masters if m.dim() <= 1]
        self.adamw = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.lr,
            betas=config.betas,
            foreach=True,
        )

    def step(self, step: int) -> tuple[float, float]:
        """One update; returns the gradient's norm before clipping and the learning rate."""
        lr = self.config.lr_at(step)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        for param, master in zip(self.params, self.masters, strict=True):
            master.grad = torch.zeros_like(master) if param.grad is None else param.grad.float()
            param.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self.masters, self.config.clip, foreach=True)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_copy_(self.params, self.masters)
            # Early on a long average would hold the random start, so the window grows with the run.
            decay = min(self.config.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.average, self.masters, 1 - decay)
        return float(norm), lr

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights by name, fp32."""
        return dict(zip(self.names, self.average, strict=True))

    def tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as one flat table of tensors."""
        table: dict[str, Tensor] = {}
        for name, master, average in zip(self.names, self.masters, self.average, strict=True):
            table[f"master/{name}"] = master
            table[f"average/{name}"] = average
            for key, value in self.adamw.state.get(master, {}).items():
                table[f"{key}/{name}"] = value
        return table

    def load_tensors(self, table: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave, bit for bit; a missing name raises KeyError."""
        with torch.no_grad():
            for name, param, master, average in zip(self.names, self.params, self.masters, self.average, strict=True):
                master.copy_(table[f"master/{name}"])
                average.copy_(table[f"average/{name}"])
                param.copy_(master)
                if f"exp_avg/{name}" in table:
                    self.adamw.state[master] = {
                        key: table[f"{key}/{name}"].clone() for key in ("step", "exp_avg", "exp_avg_sq")
                    }
