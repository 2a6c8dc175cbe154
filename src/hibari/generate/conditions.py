"""A task as a list of conditions: what is known of the video before it is made, and how firmly.

Every latent position has a level scale: 0, it is known and stays; 1, it is made from noise; between, it
is redrawn from that far. While the solver's level goes from 1 to 0, a position's own level is that times
its scale. The path of such a position is the ordinary one towards a nearer noise, so every solver holds.

Legend: C channels, T H W latent axes, I pictures, S states of one, E numbers of a state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from hibari.flow.path import interpolate


@dataclass(frozen=True)
class State:
    """Where the walk starts: `latent_CTHW` at the solver's level 1, and the level scale of each position.

    The last `references` latent frames are pictures beside the video: looked at, and no part of it. `beside_CTHW` are
    channels that the transformer sees beside the noise, and `pictures_ISE` states of pictures that it looks at.
    `looked_T` is the level that known latent frames are told to have; they are told 0 without it.
    """

    latent_CTHW: Tensor
    scale_THW: Tensor
    references: int = 0
    beside_CTHW: Tensor | None = None
    pictures_ISE: Tensor | None = None
    looked_T: Tensor | None = None

    @classmethod
    def from_noise(cls, noise_CTHW: Tensor) -> "State":
        """Nothing is known."""
        return cls(noise_CTHW, torch.ones_like(noise_CTHW[0]))


class Condition(Protocol):
    """Something known, laid on a state."""

    def apply(self, state: State) -> State: ...


@dataclass(frozen=True)
class KnownFrames:
    """Latent frames from `start` on are known; `level` says how far they may be redrawn (0: not at all)."""

    latent_CTHW: Tensor
    start: int = 0
    level: float = 0.0

    def apply(self, state: State) -> State:
        stop = self.start + self.latent_CTHW.shape[1]
        assert self.latent_CTHW.shape == state.latent_CTHW[:, self.start : stop].shape, self.latent_CTHW.shape
        latent_CTHW, scale_THW = state.latent_CTHW.clone(), state.scale_THW.clone()
        known = self.latent_CTHW.to(latent_CTHW)
        latent_CTHW[:, self.start : stop] = interpolate(known, latent_CTHW[:, self.start : stop], self.level)
        scale_THW[self.start : stop] = self.level
        return replace(state, latent_CTHW=latent_CTHW, scale_THW=scale_THW)


@dataclass(frozen=True)
class References:
    """Pictures of what is to appear, a latent frame each; they stand outside the video's time and come last."""

    latent_CTHW: Tensor

    def apply(self, state: State) -> State:
        known = self.latent_CTHW.to(state.latent_CTHW)
        latent_CTHW = torch.cat([state.latent_CTHW, known], dim=1)
        scale_THW = torch.cat([state.scale_THW, torch.zeros_like(known[0])])
        references = state.references + known.shape[1]
        return replace(state, latent_CTHW=latent_CTHW, scale_THW=scale_THW, references=references)


@dataclass(frozen=True)
class BesideNoise:
    """What is known, as channels beside the noise: a mask and a latent; for some models with states of pictures.

    Source: Wan 2.1's image-to-video form, arXiv 2503.20314, section 5.1.
    """

    channels_CTHW: Tensor
    pictures_ISE: Tensor | None = None

    def apply(self, state: State) -> State:
        assert self.channels_CTHW.shape[1:] == state.latent_CTHW.shape[1:], self.channels_CTHW.shape
        return replace(state, beside_CTHW=self.channels_CTHW.to(state.latent_CTHW), pictures_ISE=self.pictures_ISE)


def apply_all(conditions: Sequence[Condition], state: State) -> State:
    """Lay the conditions on a state, in order; a later one stands over an earlier one."""
    for condition in conditions:
        state = condition.apply(state)
    return state
