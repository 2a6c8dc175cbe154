"""How many numbers a part of a model has: read off its files' headers, or counted from its configs. No torch here.

A published model that is not here is counted. The encoders and the VAEs are the same in all of them, and tests hold
every number to the classes that the weights are for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from hibari.catalog.folder import METADATA, read_header, weight_files
from hibari.wan_layout import IMAGE_ENCODER, TEXT_ENCODER

NUMBER_BYTES = {TEXT_ENCODER: 2}  # of each number in a file of an original checkpoint; in the others it has four
KEPT_WHOLE = ("relative_attention_bias", "shared", "embed", "norm")  # of a text encoder: never stored in bytes


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Numbers in a part: all of them, those in the linear layers of its blocks, and in the largest of these layers."""

    total: int
    in_blocks: int = 0
    largest: int = 0

    @classmethod
    def of(cls, place: Path, blocks: str) -> "Weights":
        """The weights of a part, by its files' headers; its blocks' keys begin with `blocks`.

        A file of an original checkpoint has no header that can be read without torch: it counts by its size.
        """
        if place.is_file():
            total = place.stat().st_size // NUMBER_BYTES.get(place.name, 4)
            if place.name == IMAGE_ENCODER:  # the half of CLIP that reads text lies there too, and is not loaded
                return cls(total=min(total, IMAGE.total))
            return TEXT if place.name == TEXT_ENCODER and abs(total / TEXT.total - 1) < 0.01 else cls(total=total)
        counts = dict(_counts(place))
        linear = [
            prod(shape)
            for key, shape in counts.items()
            if key.startswith(blocks) and key.endswith(".weight") and len(shape) == 2
            and not any(word in key for word in KEPT_WHOLE)
        ]  # fmt: skip
        total = sum(prod(shape) for shape in counts.values())
        return cls(total=total, in_blocks=sum(linear), largest=max(linear, default=0))


TEXT_BLOCK = 4 * 4096**2 + 3 * 4096 * 10240  # the linear layers of one of UMT5-XXL's 24 blocks
TEXT = Weights(total=5_680_910_336, in_blocks=24 * TEXT_BLOCK, largest=4096 * 10240)
IMAGE = Weights(total=630_766_080)  # CLIP's ViT-H/14
VAES = {16: Weights(total=126_892_531), 48: Weights(total=704_688_668)}
"""By the channels of the latent: of Wan 2.1, and of Wan 2.2 TI2V."""


def of_transformer(config: Mapping[str, Any]) -> Weights:
    """A transformer by its published config."""
    width, ffn = config["num_attention_heads"] * config["attention_head_dim"], config["ffn_dim"]
    patch, image = prod(config["patch_size"]), config["image_dim"]
    linear = (8 + 2 * (image is not None)) * width**2 + 2 * width * ffn
    biases = 9 * width + ffn + 2 * width * (image is not None)
    norms = 6 * width + width * (image is not None)
    outside = _linear(patch * config["in_channels"], width) + _linear(width, patch * config["out_channels"])
    outside += sum(_linear(given, width) + _linear(width, width) for given in (config["text_dim"], config["freq_dim"]))
    outside += _linear(width, 6 * width) + 2 * width
    if image is not None:
        outside += 2 * image + _linear(image, image) + _linear(image, width) + 2 * width
        outside += image * (config["pos_embed_seq_len"] or 0)
    if config.get("inject_sample_info"):
        outside += 2 * width + _linear(width, width) + _linear(width, 6 * width)
    blocks = config["num_layers"]
    return Weights(
        total=outside + blocks * (linear + biases + norms + 6 * width),
        in_blocks=blocks * linear,
        largest=width * max(width, ffn),
    )


def _linear(given: int, made: int) -> int:
    return given * made + made


def _counts(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    for path in weight_files(folder):
        for key, entry in read_header(path).items():
            if key != METADATA:
                yield key, tuple(entry["shape"])
