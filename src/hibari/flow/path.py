"""The straight path between data and noise, and what a velocity says about its two ends.

x_t = (1 - t) x_0 + t e, with data x_0 at level t = 0 and noise e at t = 1; the velocity along the path is
v = dx_t/dt = e - x_0 (rectified flow, Liu et al. 2022, arXiv 2209.03003; the conditional optimal-transport
path of flow matching, Lipman et al. 2023, arXiv 2210.02747, with time reversed as in SD3, arXiv 2403.03206).

Tensors here have any shape. A level is a float, or a tensor that broadcasts against the others, so that every
token may have its own.
"""

from torch import Tensor

Level = float | Tensor


def interpolate(x0: Tensor, noise: Tensor, t: Level) -> Tensor:
    """The point x_t of the path at level t; exactly x0 at level 0 and exactly the noise at level 1."""
    return (1 - t) * x0 + t * noise


def velocity(x0: Tensor, noise: Tensor) -> Tensor:
    """The velocity of the path, the same at every level: what the model learns to predict."""
    return noise - x0


def x0_from(x_t: Tensor, v: Tensor, t: Level) -> Tensor:
    """The clean end of the path through x_t with velocity v."""
    return x_t - t * v
