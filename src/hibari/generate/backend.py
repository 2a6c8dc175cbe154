"""What runs a model: one Protocol, and which of its two kinds a model's form asks for.

Legend: C channels, T H W latent axes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hibari.catalog import Model
from hibari.errors import InvalidRequest
from hibari.generate.conditions import Condition
from hibari.generate.fit import Fit
from hibari.generate.plan import Plan


@dataclass(frozen=True)
class Prompt:
    """What to move towards and, where guidance is on, away from."""

    text: str
    negative: str = ""


class Backend(Protocol):
    """A loaded model on one device. Its methods change nothing in it."""

    @property
    def model(self) -> Model: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def num_threads(self) -> int:
        """Processor threads that torch uses; they are part of what makes numbers repeat."""

    def in_way(self, fit: Fit) -> "Backend":
        """The same loaded model, which encodes and decodes as this fit says; how it is held stays."""

    def make_latent(
        self,
        plan: Plan,
        prompt: Prompt,
        conditions: Sequence[Condition] = (),
        on_step: Callable[[int], None] | None = None,
        noise_CTHW: Tensor | None = None,
        on_estimate: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Walk from noise to a latent (C,T,H,W), float32.

        `on_step(done)` is called after each of `plan.visits` steps, and `on_estimate(latent)` in each, with the clean
        latent as it is predicted there; what they raise ends the walk. The noise is drawn from the plan's seed unless
        given.
        """

    def encode_picture(self, frame: np.ndarray) -> Tensor:
        """The latent (C,1,H,W) of one picture, uint8 (height, width, 3) at a render size."""

    def know_pictures(
        self, plan: Plan, start: np.ndarray, end: np.ndarray | None = None, level: float = 0.0
    ) -> tuple[Condition, ...]:
        """What start and end image are to this model; frames are uint8 (height, width, 3) at a render size.

        `level` says how far the start image may be redrawn (0: not at all).
        """

    def encode_clip(self, frames: Iterator[np.ndarray]) -> Tensor:
        """The latent (C,T,H,W) of 4n+1 frames, uint8 (height, width, 3) at a render size."""

    def decode(self, latent_CTHW: Tensor, fit: Fit | None = None) -> Iterator[np.ndarray]:
        """The frames of a latent, one by one, uint8 (height, width, 3); a `fit` says how, else that of the model."""


def load_backend(
    model: Model,
    device: torch.device,
    dtype: torch.dtype,
    fit: Fit = Fit(),  # noqa: B008
    *,
    compiled: bool = False,
) -> Backend:
    """What runs this model, loaded in the way of a `fit`; raises BadWeights, MissingDependency or InvalidRequest."""
    if compiled and (model.form.backend != "native" or fit.place != "device"):
        what = "layers that come and go" if model.form.backend == "native" else f"a {model.form.pipeline}"
        raise InvalidRequest(f"{what}: not compiled.", option="compile", hint="Set HIBARI_COMPILE=off.")
    if model.form.backend == "native":
        from hibari.generate.generator import Generator

        return Generator.load(model, device, dtype, fit, compiled=compiled)
    from hibari.generate.diffusers_backend import DiffusersBackend

    return DiffusersBackend.load(model, device, dtype)
