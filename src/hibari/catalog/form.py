"""How a model's parts work together, as its folder says: which pipeline it is, and what runs it. No torch here."""

from dataclasses import dataclass
from typing import Any, Literal

Backend = Literal["native", "diffusers"]
Start = Literal["tokens", "channels"]

NATIVE = frozenset({"WanPipeline"})
"""Pipelines, by their class in a model_index.json, that Hibari runs itself; any other is diffusers' to run."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A model's form; of one that diffusers runs, the first two alone mean anything.

    `pipeline` is the class that its model_index.json names. `experts` are its transformers' folders, the one for high
    noise first, and the second takes over below the noise level `boundary`. A start image comes in as known `tokens`
    at level 0, or as `channels` beside the noise; with `image_states` cross-attention sees it too. `rolling`: it
    learned a noise level for each latent frame, so that a long video is made piece by piece.
    """

    pipeline: str
    backend: Backend = "native"
    experts: tuple[str, ...] = ("transformer",)
    boundary: float = 0.0
    start: Start = "tokens"
    image_states: bool = False
    rolling: bool = False


def form_of(index: dict[str, Any]) -> Form:
    """The form of the folder whose model_index.json that is."""
    pipeline = str(index.get("_class_name"))
    return Form(pipeline=pipeline, backend="native" if pipeline in NATIVE else "diffusers")
