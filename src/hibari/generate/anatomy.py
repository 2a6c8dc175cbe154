"""What a model is made of, as its configs and the headers of its weights say: sizes, counts, layers. No torch here.

It is read to foresee what a generation takes, so it knows of every layer how much it holds and computes, and nothing of
what it does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from hibari.catalog import Model
from hibari.errors import BadWeights
from hibari.generate import weights
from hibari.generate.weights import Weights

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, kw_only=True)
class DiTSizes:
    """The sizes of a transformer that its memory and its time follow from."""

    width: int
    heads: int
    ffn: int
    layers: int
    out_channels: int
    patch: int  # cells of the latent in a token

    def __post_init__(self) -> None:
        _check_whole(self)


@dataclass(frozen=True, kw_only=True)
class VAESizes:
    """The sizes of a VAE, under the names of AutoencoderKLWan's config.json; `base_dim` and order are the decoder's."""

    base_dim: int
    encoder_dim: int
    dim_mult: tuple[int, ...]
    num_res_blocks: int
    temporal: tuple[bool, ...]
    is_residual: bool
    z_dim: int
    out_channels: int
    patch: int

    def __post_init__(self) -> None:
        _check_whole(self)
        if len(self.temporal) != len(self.dim_mult) - 1:
            raise ValueError(f"{len(self.dim_mult)} levels, {len(self.temporal)} of them said to change in time")


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


def _check_whole(sizes: DiTSizes | VAESizes) -> None:
    """Raise ValueError where a size is no whole number from 1 on; those that say yes or no are left."""
    for name, value in vars(sizes).items():
        for each in value if isinstance(value, tuple) else (value,):
            if not isinstance(each, bool) and not (isinstance(each, int) and each > 0):
                raise ValueError(f"{name} is {value!r}")


def _read(model: Model) -> Anatomy:
    experts, own = model.form.experts, _weights(model)
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
        experts=tuple(own[expert] for expert in experts),
        vae_weights=own["vae"],
        text=own["text_encoder"],
        text_bytes=4 if is_bert else 0,
        image=own.get("image_encoder"),
    )


def _weights(model: Model) -> dict[str, Weights]:
    """The weights of each part: by its files, or of a model that is not here by its configs."""
    blocks = dict.fromkeys(model.form.experts, "blocks.") | {"text_encoder": "encoder.block."}
    parts = (*model.form.experts, "vae", "text_encoder", "image_encoder")
    if model.places:
        return {part: Weights.of(model.places[part], blocks.get(part, "-")) for part in parts if part in model.places}
    found = {expert: weights.of_transformer(model.configs[expert]) for expert in model.form.experts}
    found |= {"vae": weights.VAES[model.strides.channels], "text_encoder": weights.TEXT}
    return found | ({"image_encoder": weights.IMAGE} if model.form.image_states != "none" else {})


def _vae_sizes(config: Mapping[str, Any]) -> VAESizes:
    return VAESizes(
        base_dim=config.get("decoder_base_dim") or config["base_dim"],
        encoder_dim=config["base_dim"],
        dim_mult=tuple(config["dim_mult"]),
        num_res_blocks=config["num_res_blocks"],
        temporal=tuple(config["temperal_downsample"][::-1]),
        is_residual=config.get("is_residual", False),
        z_dim=config["z_dim"],
        out_channels=config.get("out_channels", 3),
        patch=config.get("patch_size") or 1,
    )
