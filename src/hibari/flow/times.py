"""Noise levels: the schedule that a solver walks, the shift that a size asks for, and the draws of training.

A level is in [0, 1]: 0 is clean, 1 is noise. The model's own clock counts to NUM_TIMESTEPS; `timestep_of` is
the one place that says how a level of the schedule is told to the model.
"""

from dataclasses import dataclass
from math import sqrt
from typing import overload

import torch
from torch import Tensor

NUM_TIMESTEPS = 1000
"""Units of the model's clock between clean and noise, as in Wan."""

HIGHEST_LEVEL = 1 - 17 / 2**24
"""Where a schedule starts: the log-SNR of level 1 is not finite, so UniPC in diffusers starts 1e-6 below it.

That sigma is held in float32, where 1 - 1e-6 is this number; written out, the multistep coefficients, which
take its logarithm, are the same here and there.
"""


@overload
def shift_levels(t: float, shift: float) -> float: ...
@overload
def shift_levels(t: Tensor, shift: float) -> Tensor: ...
def shift_levels(t: float | Tensor, shift: float) -> float | Tensor:
    """Levels moved towards noise by the factor `shift`: s t / (1 + (s - 1) t); 1 leaves them alone.

    Source: SD3, arXiv 2403.03206, equation 23, with s = sqrt(m/n).
    """
    return shift * t / (1 + (shift - 1) * t)


def shift_for(num_tokens: int, *, base_tokens: int, base_shift: float) -> float:
    """The shift that gives `num_tokens` the signal-to-noise ratios that `base_shift` gives `base_tokens`.

    The uncertainty about a constant image falls with the square root of its number of values, so the shift
    grows with it. Source: SD3, arXiv 2403.03206, section 5.3.2.
    """
    assert num_tokens > 0 and base_tokens > 0 and base_shift > 0, (num_tokens, base_tokens, base_shift)
    return base_shift * sqrt(num_tokens / base_tokens)


def schedule(steps: int, shift: float) -> Tensor:
    """The levels of `steps` solver steps, from HIGHEST_LEVEL down to exactly 0.

    Returns (steps + 1,) float64 on the CPU. The spacing is the one of diffusers' UniPCMultistepScheduler with
    flow sigmas: even from 1 to 1/NUM_TIMESTEPS with the last point left out, then shifted, then 0. The numbers
    are computed in the order that NumPy's linspace does it, so that `timestep_of`, which truncates, cannot fall
    on the other side of an integer.
    """
    assert steps >= 1 and shift > 0, (steps, shift)
    step = (1 / NUM_TIMESTEPS - 1) / steps
    levels = [shift_levels(index * step + 1.0, shift) for index in range(steps)]
    return torch.tensor([min(level, HIGHEST_LEVEL) for level in levels] + [0.0], dtype=torch.float64)


def timestep_of(level: float) -> int:
    """The timestep that the model is told at this level of a schedule: NUM_TIMESTEPS times the level, truncated.

    diffusers' UniPC casts its flow timesteps to int64, so WanPipeline shows the model 999, never 999.99, while
    the solver goes on with the exact level. The same frames from the same noise need the same numbers here.
    """
    return int(level * NUM_TIMESTEPS)


@dataclass(frozen=True, kw_only=True)
class LevelDraw:
    """How training draws its levels: a logit-normal, a share of uniform draws among it, then a shift.

    mean, std: of the normal before the sigmoid; SD3 found (0, 1) best (arXiv 2403.03206, section 3.1).
    uniform_share: in [0, 1]; the logit-normal hardly visits the ends, which a share of uniform draws repairs.
    shift: as in `shift_levels`, for the size that is trained on.
    """

    mean: float = 0.0
    std: float = 1.0
    uniform_share: float = 0.0
    shift: float = 1.0

    def __post_init__(self) -> None:
        assert self.std > 0 and 0 <= self.uniform_share <= 1 and self.shift > 0, self


def draw_levels(num: int, generator: torch.Generator, draw: LevelDraw) -> Tensor:
    """`num` independent levels in [0, 1] for training: (num,) float32 on the generator's device.

    One for a clip that is noised evenly, one for each latent frame in diffusion forcing (arXiv 2407.01392).
    """
    device = generator.device
    normal = torch.randn(num, generator=generator, device=device)
    uniform = torch.rand(num, generator=generator, device=device)
    # Which draws are uniform is drawn too, so every call takes the same count of numbers from the generator.
    is_uniform = torch.rand(num, generator=generator, device=device) < draw.uniform_share
    return shift_levels(torch.where(is_uniform, uniform, torch.sigmoid(draw.mean + draw.std * normal)), draw.shift)
