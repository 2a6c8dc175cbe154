"""The weights that a published model is said to have before it is here, against the classes they are for. About 8 s."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from hibari.catalog import unpulled
from hibari.catalog.published import published_models, recognise
from hibari.config import Settings
from hibari.generate import weights
from hibari.generate.anatomy import anatomy_of
from hibari.generate.weights import Weights
from hibari.model.dit import DiTConfig, WanDiT
from hibari.wan_layout import IMAGE_ENCODER, VAES
from published_folders import write_published

NAMES = [each.name for each in published_models()]


def count(module: nn.Module, blocks: nn.Module | None = None) -> Weights:
    linear = [each.weight.numel() for each in blocks.modules() if isinstance(each, nn.Linear)] if blocks else []
    total = sum(parameter.numel() for parameter in module.parameters())
    return Weights(total=total, in_blocks=sum(linear), largest=max(linear, default=0))


@pytest.mark.parametrize("name", NAMES)
def test_a_transformer_is_counted_to_the_last_number(name: str, tmp_path: Path) -> None:
    model = unpulled(name, Settings(home=tmp_path))
    assert model is not None
    known = {each.name for each in fields(DiTConfig)}
    for expert, counted in zip(model.form.experts, anatomy_of(model).experts, strict=True):
        values = {key: value for key, value in model.configs[expert].items() if key in known}
        with torch.device("meta"):
            dit = WanDiT(DiTConfig(**values | {"patch_size": tuple(values["patch_size"])}))
        assert counted == count(dit, dit.blocks)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_is_recognised_once_it_is_here(name: str, tmp_path: Path) -> None:
    model = unpulled(name, Settings(home=tmp_path))
    assert model is not None and model.published is not None
    index = {"_class_name": model.form.pipeline}
    index |= {"transformer_2": ["diffusers", "WanTransformer3DModel"]} if len(model.form.experts) == 2 else {}
    assert recognise(name, index, model.configs["transformer"]) == model.published
    assert (anatomy_of(model).image is not None) == (model.form.image_states != "none")


def test_encoders_and_vaes_are_counted_to_the_last_number() -> None:
    with torch.device("meta"):
        text = UMT5EncoderModel(
            UMT5Config(vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64)
        )
        assert count(text, text.encoder.block) == weights.TEXT
        vision = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
        assert count(CLIPVisionModel(CLIPVisionConfig(**vision, image_size=224, patch_size=14))) == weights.IMAGE
        for values in VAES.values():
            config = {key: value for key, value in values.items() if key != "_class_name"}
            assert weights.VAES[values["z_dim"]] == count(AutoencoderKLWan(**config))


def test_of_an_original_clip_the_half_that_sees_is_counted(tmp_path: Path) -> None:
    """The file has the text side too: 4.8 GB of float32, of which 2.5 are loaded."""
    place = tmp_path / IMAGE_ENCODER
    with place.open("wb") as file:
        file.truncate(4_772_359_183)  # holds nothing, and takes no room
    assert Weights.of(place, "-") == weights.IMAGE
    with place.open("wb") as file:
        file.truncate(400)
    assert Weights.of(place, "-").total == 100


def test_what_is_here_or_unknown_is_not_looked_ahead_at(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    write_published(settings.models_folder / NAMES[0])
    assert unpulled(NAMES[0], settings) is None
    assert unpulled("no-such-model", settings) is None
