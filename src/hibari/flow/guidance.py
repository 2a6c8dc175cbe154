"""Classifier-free guidance: away from what an empty or negative prompt gives, towards the prompt.

Source: Ho and Salimans 2022, arXiv 2207.12598, in the form that Imagen gave it (arXiv 2205.11487, equation 2).
The two velocities come from one run of the model on a pack of two clips; who packs them is not this room's matter.
"""

from torch import Tensor


def guide(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """The guided velocity; scale 1 is the prompt alone, and equal velocities stay as they are bit for bit."""
    return uncond + scale * (cond - uncond)
