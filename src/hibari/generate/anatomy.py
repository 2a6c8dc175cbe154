"""What a model is made of, as its configs and the headers of its weights say: sizes, counts, layers. No torch here.

It is read to foresee what a generation takes, so it knows of every layer how much it holds and computes, and nothing of
what it does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

from hibari.catalog import Model
from hibari.catalog.folder import METADATA, read_header, weight_files
from hibari.errors import BadWeights
from hibari.wan_layout import TEXT_ENCODER

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
NUMBER_BYTES = {TEXT_ENCODER: 2}  # of each number in a file of an original checkpoint; in the others it has four
KEPT_WHOLE = ("relative_attention_bias", "shared", "embed", "norm")  # of a text encoder: never stored in bytes


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Numbers in a part: all of them, those in the linear layers of its blocks, and in the largest of these layers."""

    total: int
    in_blocks: int = 0
    largest: int = 0

    @classmethod
    def of(cls, place: Path, blocks: str) -> Self:
        """The weights of a part, by its files' headers; its blocks' keys begin with `blocks`.

        A file of an original checkpoint has no header that can be read without torch: it counts by its size.
        """
        if place.is_file():
            return cls(total=place.stat().st_size // NUMBER_BYTES.get(place.name, 4))
        counts = dict(_counts(place))
        linear = [
            prod(shape)
            for key, shape in counts.items()
            if key.startswith(blocks) and key.endswith(".weight") and len(shape) == 2
            and not any(word in key for word in KEPT_WHOLE)
        ]  # fmt: skip
        total = sum(prod(shape) for shape in counts.values())
        return cls(total=total, in_blocks=sum(linear), largest=max(linear, default=0))


@dataclass(frozen=True, kw_only=True)
class DiTSizes:
    """The sizes of a transformer that its memory and its time follow from."""

    width: int
    heads: int
    ffn: int
    layers: int
    out_channels: int
    patch: int  # cells of the latent in a token


@dataclass(frozen=True, kw_only=True)
class VAESizes:
    """The sizes of a VAE's decoder, under the names of AutoencoderKLWan's config.json."""

    base_dim: int
    dim_mult: tuple[int, ...]
    num_res_blocks: int
    temporal: tuple[bool, ...]
    is_residual: bool
    z_dim: int
    out_channels: int
    patch: int


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """What a model is made of. `experts` are its transformers' weights; `image` those that see a start image."""

    dit: DiTSizes
    vae: VAESizes
    experts: tuple[Weights, ...]
    vae_weights: Weights
    text: Weights
    text_bytes: int  # of each number of the text encoder, where it is not the transformer's
    image: Weights | None = None


def anatomy_of(model: Model) -> Anatomy:
    """Read a model's anatomy; raises BadWeights where its configs do not say what it is made of."""
    folder = model.folder
    try:
        return _read(model)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadWeights(f"{folder}: its configs do not say its sizes ({error!r}).", option="model") from error


def _read(model: Model) -> Anatomy:
    places, experts = model.places, model.form.experts
    dit, vae = model.configs[experts[0]], model.configs["vae"]
    is_bert = model.configs.get("text_encoder", {}).get("model_type") == "bert"
    return Anatomy(
        dit=DiTSizes(
            width=dit["num_attention_heads"] * dit["attention_head_dim"],
            heads=dit["num_attention_heads"],
            ffn=dit["ffn_dim"],
            layers=dit["num_layers"],
            out_channels=dit["out_channels"],
            patch=prod(dit["patch_size"]),
        ),
        vae=_vae_sizes(vae),
        experts=tuple(Weights.of(places[expert], "blocks.") for expert in experts),
        vae_weights=Weights.of(places["vae"], "-"),
        text=Weights.of(places["text_encoder"], "encoder.block."),
        text_bytes=4 if is_bert else 0,
        image=Weights.of(places["image_encoder"], "-") if "image_encoder" in places else None,
    )


def _vae_sizes(config: Mapping[str, Any]) -> VAESizes:
    return VAESizes(
        base_dim=config.get("decoder_base_dim") or config["base_dim"],
        dim_mult=tuple(config["dim_mult"]),
        num_res_blocks=config["num_res_blocks"],
        temporal=tuple(config["temperal_downsample"][::-1]),
        is_residual=config.get("is_residual", False),
        z_dim=config["z_dim"],
        out_channels=config.get("out_channels", 3),
        patch=config.get("patch_size") or 1,
    )


def _counts(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    for path in weight_files(folder):
        for key, entry in read_header(path).items():
            if key != METADATA:
                yield key, tuple(entry["shape"])
