"""Classifier-free guidance: away from what an empty or negative prompt gives, towards the prompt.

Source: Ho and Salimans 2022, arXiv 2207.12598, in the form that Imagen gave it (arXiv 2205.11487, equation 2).
"""

import torch
from torch import Tensor

from hibari.flow.solver import Velocity


def guide(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """The guided velocity; scale 1 is the prompt alone, and equal velocities stay as they are bit for bit."""
    return uncond + scale * (cond - uncond)


def guided(pair: Velocity, scale: float) -> Velocity:
    """A guided velocity from `pair`, which takes x twice in one batch and so runs the model once a step.

    pair(x_2, sigma): x_2 is (2, *x.shape), the same x twice; it returns as much, with the velocity for the
    prompt first and the one for the empty or negative prompt second.
    """

    def velocity(x: Tensor, sigma: float) -> Tensor:
        cond, uncond = pair(torch.stack((x, x)), sigma)
        return guide(cond, uncond, scale)

    return velocity
