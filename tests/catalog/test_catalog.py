"""Finding models, reading what they can do, and seeing what is broken. About a second, without torch."""

import json
import shutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hibari import catalog
from hibari.catalog import Card, World
from hibari.config import Settings
from hibari.errors import BadWeights, UnknownModel
from hibari.request import Size

CARD = {
    "name": "tiny",
    "revision": "7",
    "licence": "Apache-2.0",
    "sizes": ["96x64", "64x96"],
    "upscale": 2,
    "fps": 12,
    "seconds": 1.0,
    "max_seconds": 4.0,
    "steps": 3,
    "guidance": 4.0,
    "verbs": ["text to video", "text to image", "image to video", "video to video", "extend"],
}
WORLD: dict[str, Any] = {
    "objects": ["octopus", "teddy bear", "red heart"],
    "motions": ["left", "right"],
    "backgrounds": ["ocean"],
    "words": ["an", "a", "octopus", "teddy", "bear", "red", "heart", "drifts", "to", "the", "right", "over", "ocean"],
}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder with one model of the Wan 2.2 form, whole but for sensible weights."""
    folder = tmp_path / "models" / "tiny"
    classes = {"transformer": "WanTransformer3DModel", "vae": "AutoencoderKLWan", "text_encoder": "BertModel"}
    parts = {part: ["library", name] for part, name in classes.items()}
    write_json(folder / "model_index.json", {"_class_name": "WanPipeline", **parts})
    write_json(folder / "transformer/config.json", {"patch_size": [1, 1, 1], "in_channels": 48})
    write_json(folder / "vae/config.json", {"z_dim": 48, "scale_factor_spatial": 16, "scale_factor_temporal": 4})
    write_json(folder / "text_encoder/config.json", {})
    write_json(folder / "tokenizer/tokenizer_config.json", {})
    write_json(folder / "scheduler/scheduler_config.json", {"flow_shift": 3.0})
    for part in classes:
        save_file({"x": np.zeros((8, 8), np.float32)}, folder / part / "diffusion_pytorch_model.safetensors")
    write_json(folder / "hibari.json", CARD)
    write_json(folder / "world.json", WORLD)
    return tmp_path


def find(home: Path, name: str = "tiny") -> catalog.Model:
    return catalog.find(name, Settings(home=home))


def refusal(home: Path) -> str:
    with pytest.raises(BadWeights) as caught:
        find(home)
    assert caught.value.option == "model"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_is_found_by_name_and_by_path(home: Path) -> None:
    model = find(home)
    assert (model.name, model.revision, model.flow_shift) == ("tiny", "7", 3.0)
    assert (model.strides.space, model.strides.channels) == (16, 48)
    assert model.card.sizes == (Size(96, 64), Size(64, 96))
    assert model.world is not None and model.world.objects[0] == "octopus"
    assert find(home, str(home / "models/tiny")).folder == model.folder
    assert "tiny" in catalog.names(Settings(home=home))


def test_a_name_that_is_no_model(home: Path) -> None:
    for name in ("none", "../tiny", "./none", "Tiny"):
        with pytest.raises(UnknownModel) as caught:
            find(home, name)
        assert caught.value.option == "model"
        assert "tiny" in caught.value.hint


def test_installed_weights_are_found() -> None:
    assert "hibari-mini" in [entry.name for entry in entry_points(group="hibari.weights")]


@pytest.mark.parametrize("keep", [0, 4, 40, 300])
def test_weights_cut_short(home: Path, keep: int) -> None:
    path = home / "models/tiny/transformer/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "cut short" in refusal(home)


def test_weights_with_rubbish(home: Path) -> None:
    path = home / "models/tiny/vae/diffusion_pytorch_model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data + b"\0" * 9)
    assert "too long" in refusal(home)
    path.write_bytes(data[:8] + b"[" + data[9:])
    assert "header is damaged" in refusal(home)
    path.unlink()
    assert "no safetensors" in refusal(home)


def test_a_shard_that_is_missing(home: Path) -> None:
    part = home / "models/tiny/transformer"
    write_json(part / "diffusion_pytorch_model.safetensors.index.json", {"weight_map": {"x": "gone.safetensors"}})
    assert "gone.safetensors" in refusal(home)


@pytest.mark.parametrize("file", ["model_index.json", "vae/config.json", "hibari.json", "world.json"])
def test_configs_that_are_damaged(home: Path, file: str) -> None:
    (home / "models/tiny" / file).write_text("{")
    assert file in refusal(home)


def test_parts_that_do_not_fit(home: Path) -> None:
    write_json(home / "models/tiny/transformer/config.json", {"patch_size": [1, 1, 1], "in_channels": 16})
    assert "do not fit" in refusal(home)


def test_an_encoder_that_hibari_does_not_run(home: Path) -> None:
    index = home / "models/tiny/model_index.json"
    write_json(index, json.loads(index.read_text()) | {"text_encoder": ["transformers", "T5EncoderModel"]})
    assert "its text_encoder is T5EncoderModel" in refusal(home)


def test_a_card_is_strict(home: Path) -> None:
    path = home / "models/tiny/hibari.json"
    for wrong in (CARD | {"colour": "red"}, {"name": "tiny"}, CARD | {"sizes": []}, CARD | {"sizes": ["banana"]}, []):
        write_json(path, wrong)
        with pytest.raises(BadWeights):
            Card.load(path, ())


def test_a_folder_without_a_card_has_the_familys_habits(home: Path) -> None:
    folder = home / "models/tiny"
    (folder / "hibari.json").unlink()
    model = find(home)
    assert model.card.fps == 24
    assert model.revision.startswith("sha256:")
    before = model.revision
    save_file({"x": np.ones((8, 8), np.float32)}, folder / "vae" / "diffusion_pytorch_model.safetensors")
    assert find(home).revision != before
    shutil.copy(folder / "vae/diffusion_pytorch_model.safetensors", folder / "text_encoder")
    write_json(folder / "vae/config.json", {"z_dim": 16})
    write_json(folder / "transformer/config.json", {"patch_size": [1, 2, 2], "in_channels": 16})
    assert find(home).card.fps == 16


def test_what_lies_outside_a_world() -> None:
    world = World(
        objects=tuple(WORLD["objects"]),
        words=frozenset(WORLD["words"]),
    )
    assert world.advice("An octopus drifting to the right over the ocean.", "tiny") == ""
    assert world.named("two teddy bears and red hearts") == ["teddy bear", "red heart"]
    assert "octopus, teddy bear" in world.advice("a dragon flies", "tiny")
    assert world.advice("the red ocean", "tiny") == "", "a synonym or a mere place is no stranger"
    assert '"bicycle"' in world.advice("an octopus drifts on a bicycle", "tiny")
    assert World(objects=("octopus",)).advice("an octopus on a bicycle", "tiny") == ""


@pytest.mark.parametrize("name", ["../vae/diffusion_pytorch_model.safetensors", "x.bin", 7, "/x.safetensors"])
def test_an_index_names_safetensors_of_its_own_folder(home: Path, name: object) -> None:
    write_json(home / "models/tiny/vae/diffusion_pytorch_model.safetensors.index.json", {"weight_map": {"x": name}})
    assert "not a safetensors file of this folder" in refusal(home)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"weight_map": 1}', '{"weight_map": {"x": null}}', "\udcff", "{}"])
def test_an_index_that_is_none(home: Path, content: str) -> None:
    path = home / "models/tiny/vae/diffusion_pytorch_model.safetensors.index.json"
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    assert "index.json" in refusal(home)


def test_other_weights_in_the_same_place_are_another_model(home: Path) -> None:
    before = find(home)
    assert find(home) == before
    path = home / "models/tiny/vae/diffusion_pytorch_model.safetensors"
    path.unlink()
    save_file({"x": np.ones((8, 8), np.float32)}, path)
    assert find(home) != before
    with pytest.raises(BadWeights, match="changed while it was in use"):
        before.weights_sha256  # noqa: B018  # else a record would name weights that made nothing


def test_a_model_has_the_name_that_finds_it(home: Path) -> None:
    (home / "models/tiny").rename(home / "models/other")
    assert find(home, "other").name == "other", "a replay looks for this name"
    assert find(home, str(home / "models/other")).name == "tiny", "its card's, of a folder elsewhere"


def test_a_card_without_verbs_can_do_what_its_form_learned(home: Path) -> None:
    folder = home / "models" / "tiny"
    write_json(folder / "hibari.json", {name: value for name, value in CARD.items() if name != "verbs"})
    found = catalog.open_folder(folder).card.verbs
    assert found == ("text to video", "text to image", "video to video"), "no start image, and nothing to go on from"
