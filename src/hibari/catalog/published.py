"""The published models that Hibari runs: where each lies, its licence, its habits, and how its folder is known.

The facts are in `published.json`. Sizes, frame rates, steps, guidance and shifts are the authors' defaults: wan/configs
and generate.py of Wan-Video/Wan2.1 and Wan-Video/Wan2.2, README.md and generate_video_df.py of SkyworkAI/SkyReels-V2.
Repositories and architectures: the same, docs/source/en/api/pipelines/{wan,skyreels_v2}.md and
scripts/convert_{wan,skyreelsv2}_to_diffusers.py of huggingface/diffusers. Licences: the repositories' LICENSE.txt.
`gigabytes` are sums of the published weights, rounded; before a download the hub's own sizes count. What each can do
follows from its form (`form.learned_verbs`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from hibari.catalog.card import Card, Rolling
from hibari.catalog.form import expert_folders
from hibari.errors import UnknownModel
from hibari.request import Size

Layout = Literal["diffusers", "original"]
LAYOUTS: tuple[Layout, ...] = ("diffusers", "original")
PATTERNS: Mapping[Layout, tuple[str, ...]] = {
    "diffusers": (
        "model_index.json", "*/*.json", "*/*.safetensors", "tokenizer/*.model", "tokenizer/*.txt",
        "README.md", "LICENSE*",
    ),
    "original": (
        "config.json", "*.safetensors", "*.safetensors.index.json", "*_noise_model/*.json",
        "*_noise_model/*.safetensors", "Wan2.*_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth", "google/umt5-xxl/*.json",
        "google/umt5-xxl/*.model",
        "models_clip_*.pth", "README.md", "LICENSE*",
    ),
}  # fmt: skip
"""Which files of a repository are taken; "*" stands for no slash. No code, no second form of the weights."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What tells one published architecture from another, as its configs say it.

    `pipeline` is the class in model_index.json; `channels` are those that the transformer takes; `two_pictures`: it
    has positions for the states of a first and a last frame.
    """

    pipeline: str
    width: int
    channels: int
    experts: int = 1
    two_pictures: bool = False


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published model. `flow_shift` is the timestep shift at its first size."""

    name: str
    about: str
    licence: str
    repositories: Mapping[str, str]
    gigabytes: Mapping[str, float]
    form: Shape
    flow_shift: float
    card: Mapping[str, Any]

    def card_of(self, name: str, licence: str, verbs: tuple[str, ...]) -> Card:
        """Its card, for a folder of that name. The authors' shift is the same at every size."""
        values: dict[str, Any] = {**self.card, "sizes": tuple(Size.parse(size) for size in self.card["sizes"])}
        about = self.about
        if "rolling" in values:
            values["rolling"] = Rolling(**values["rolling"])
        return Card(
            name=name, revision="unknown", licence=licence, about=about, shift_grows=False, verbs=verbs, **values
        )

    def is_called(self, name: str) -> bool:
        """Whether that is this model's name, or one of its repositories'."""
        names = {self.name, *(repository.split("/")[1].lower() for repository in self.repositories.values())}
        return name.lower() in names


@cache
def published_models() -> tuple[Published, ...]:
    """Every published model that Hibari runs."""
    rows = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))
    return tuple(Published(**{**row, "form": Shape(**row["form"])}) for row in rows)


def published_model(name: str) -> Published:
    """The published model of that name; raises UnknownModel."""
    for each in published_models():
        if each.name == name:
            return each
    known = ", ".join(each.name for each in published_models())
    raise UnknownModel(f"{name!r} is no published model that Hibari knows.", option="name", hint=f"Known: {known}.")


def recognise(name: str, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Published | None:
    """The published model that a folder's configs describe; of several, the one that it is called after.

    `index` is its model_index.json, `transformer` the published config of its (first) transformer.
    """
    heads, head_width = transformer.get("num_attention_heads"), transformer.get("attention_head_dim")
    if not (isinstance(heads, int) and isinstance(head_width, int)):
        return None  # what is wrong with it is for the loader to say
    shape = Shape(
        pipeline=str(index.get("_class_name")),
        width=heads * head_width,
        channels=transformer["in_channels"],
        experts=len(expert_folders(index)),
        two_pictures=transformer.get("pos_embed_seq_len") is not None,
    )
    fitting = [each for each in published_models() if each.form == shape]
    return next((each for each in fitting if each.is_called(name)), fitting[0] if fitting else None)
