"""The form of each published folder, and folders whose parts do not fit it. About 8 seconds, most for imports."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hibari import catalog
from hibari.errors import BadWeights
from tiny_wan import FORMS, build_tiny_wan

BOTH = ("transformer", "transformer_2")
EXPECTED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "wan2.1 t2v": ({}, ("text to video", "text to image", "video to video")),
    "wan2.1 i2v": ({"start": "channels", "image_states": "one"}, ("image to video",)),
    "wan2.1 flf2v": ({"start": "channels", "image_states": "two"}, ("between images",)),
    "wan2.2 t2v": ({"experts": BOTH, "boundary": 0.875}, ("text to video", "text to image", "video to video")),
    "wan2.2 i2v": (
        {"start": "channels", "experts": BOTH, "boundary": 0.9},
        ("image to video", "between images"),
    ),
    "wan2.2 ti2v": ({}, ("text to video", "text to image", "video to video", "image to video")),
    "skyreels t2v": ({}, ("text to video", "text to image", "video to video")),
    "skyreels i2v": ({"start": "channels", "image_states": "one"}, ("image to video",)),
    "skyreels df": (
        {"rolling": True},
        ("text to video", "text to image", "video to video", "image to video", "extend"),
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("forms")
    return {form: build_tiny_wan(home / form.replace(" ", "-"), form) for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_says_what_it_is_and_what_it_learned(form: str, folders: dict[str, Path]) -> None:
    model, (wanted, verbs) = catalog.open_folder(folders[form]), EXPECTED[form]
    plain = {"experts": ("transformer",), "boundary": 0.0, "start": "tokens", "image_states": "none", "rolling": False}
    assert {name: getattr(model.form, name) for name in plain} == plain | wanted
    assert model.card.verbs == verbs and not model.card.shift_grows
    assert ("strength" in model.form.settings) == (model.form.start == "tokens")
    sees = {"image_encoder"} if model.form.image_states != "none" else set()
    assert {path.parent.name for path in model.files} == {*model.form.experts, "vae", "text_encoder"} | sees


def set_index(**values: object) -> Callable[[Path], None]:
    return set_json("model_index.json", **values)


def set_json(file: str, **values: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def without(part: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def shard_lost(folder: Path) -> None:
    part = folder / "transformer_2"
    (part / "diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": {"x": "gone.safetensors"}}')


BROKEN: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "no boundary": ("wan2.2 t2v", set_index(boundary_ratio=None), "two transformers, and boundary_ratio is None"),
    "a boundary beyond noise": ("wan2.2 t2v", set_index(boundary_ratio=1.5), "boundary_ratio is 1.5"),
    "one expert gone": ("wan2.2 i2v", without("transformer_2"), "transformer_2/config.json: cannot be read"),
    "one shard gone": ("wan2.2 t2v", shard_lost, "gone.safetensors: not there, though its index names it"),
    "two unlike experts": (
        "wan2.2 i2v",
        set_json("transformer_2/config.json", in_channels=16),
        "the two transformers differ in in_channels",
    ),
    "no image encoder": ("wan2.1 i2v", without("image_encoder"), "image_encoder/config.json: cannot be read"),
    "no image encoder in the index": ("wan2.1 i2v", set_index(image_encoder=[None, None]), "its image_encoder is None"),
    "no image processor": ("wan2.1 i2v", without("image_processor"), "preprocessor_config.json: cannot be read"),
    "image encoder cut short": (
        "wan2.1 flf2v",
        lambda folder: (folder / "image_encoder/model.safetensors").write_bytes(b"\x09"),
        "cut short",
    ),
    "channels of no form": ("wan2.1 i2v", set_json("transformer/config.json", in_channels=32), "takes 32"),
    "pictures without channels": (
        "wan2.1 i2v",
        set_json("transformer/config.json", in_channels=16),
        "sees pictures, and takes no start image",
    ),
    "another text encoder": (
        "wan2.1 t2v",
        set_json("text_encoder/config.json", d_model=48),
        "text encoder: 48, .* is 40",
    ),
    "another image encoder": (
        "wan2.1 i2v",
        set_json("image_encoder/config.json", hidden_size=32),
        "image encoder: 32, .* image_dim is 24",
    ),
    "an image encoder of more states": (
        "wan2.1 flf2v",
        set_json("image_encoder/config.json", image_size=32),
        "34, .* pos_embed_seq_len is 10",
    ),
    "an image encoder of no size": (
        "wan2.1 flf2v",
        set_json("image_encoder/config.json", patch_size=0),
        "do not fit each other",
    ),
    "a VAE of another size than it says": (
        "wan2.1 t2v",
        set_json("vae/config.json", scale_factor_spatial=16),
        "scale_factor_spatial is 16, and its layers make 8",
    ),
    "a VAE of another pace than it says": (
        "wan2.2 ti2v",
        set_json("vae/config.json", scale_factor_temporal=8),
        "scale_factor_temporal is 8, and its layers make 4",
    ),
    "no tokenizer": ("wan2.1 t2v", without("tokenizer"), "tokenizer_config.json: cannot be read"),
    "no text encoder": ("wan2.1 t2v", without("text_encoder/model.safetensors"), "text_encoder: no safetensors file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_missing_is_said_in_one_line_before_anything_is_loaded(
    case: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    form, damage, message = BROKEN[case]
    folder = tmp_path / "model"
    shutil.copytree(folders[form], folder)
    catalog.open_folder(folder)
    damage(folder)
    with pytest.raises(BadWeights, match=message) as caught:
        catalog.open_folder(folder)
    assert "\n" not in str(caught.value) and caught.value.option == "model"
