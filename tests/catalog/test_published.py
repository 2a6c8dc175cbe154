"""Published models: recognised by their configs, original checkpoints among them, taken from a folder, licences held.

About 3 seconds, without torch but for one file of tensors.
"""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hibari import catalog
from hibari.catalog.folder import WHOLE
from hibari.catalog.licence import NOT_STATED, check_licence, stated_licence
from hibari.catalog.published import LAYOUTS, published_model, published_models
from hibari.catalog.pull import take
from hibari.config import Settings
from hibari.errors import BadWeights, InvalidRequest, LicenceNotAllowed, OutputError, UnknownModel
from hibari.request import Size
from original_parts import write_config
from published_folders import SHARDS, SKYREELS, write_json, write_published

NAME = "wan2.1-t2v-1.3b"
Usage = namedtuple("Usage", "total used free")
WAN = {"_class_name": "WanModel", "dim": 1536, "eps": 1e-06, "ffn_dim": 8960, "freq_dim": 256, "in_dim": 16} | {
    "model_type": "t2v", "num_heads": 12, "num_layers": 30, "out_dim": 16, "text_len": 512
}  # fmt: skip
LARGE = {"dim": 5120, "ffn_dim": 13824, "num_heads": 40, "num_layers": 40}
IMAGE = {"model_type": "i2v", "in_dim": 36}
CLIP = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"


def write_original(folder: Path, vae: str = "Wan2.1_VAE.pth", experts: int = 1, **config: Any) -> Path:
    """An original checkpoint by its layout and configs, with hardly any weights."""
    for place in [folder] if experts == 1 else [folder / "high_noise_model", folder / "low_noise_model"]:
        write_config(place, WAN | config)
        save_file({"x": np.zeros((8, 8), np.float32)}, place / "diffusion_pytorch_model.safetensors")
    for name in (vae, "models_t5_umt5-xxl-enc-bf16.pth", *([CLIP] if config.get("model_type") == "i2v" else [])):
        torch.save({"x": torch.ones(2)}, folder / name)
    write_json(folder / "google/umt5-xxl/tokenizer_config.json", {})
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_published(tmp_path / "published")


def test_the_table_is_whole() -> None:
    names = [each.name for each in published_models()]
    assert len(set(names)) == len(names) == 11
    for each in published_models():
        assert set(each.repositories) == set(each.gigabytes) == set(LAYOUTS)
        owner = {"Apache-2.0": "Wan-AI", "skywork-license": "Skywork"}[each.licence]
        assert all(repository.startswith(f"{owner}/") for repository in each.repositories.values())
        card = each.card_of(each.name, each.licence, ("text to video",))
        assert card.max_seconds >= card.seconds and each.flow_shift > 1
        assert all(size.width % 16 == size.height % 16 == 0 for size in card.sizes)
        assert (card.guidance_2 is not None) == (each.form.experts == 2)
    with pytest.raises(UnknownModel, match=r"wan2\.1-t2v-14b"):
        published_model("wan")


def test_a_diffusers_folder_is_recognised_by_its_configs(published: Path) -> None:
    model = catalog.open_folder(published)
    assert model.published is published_model(NAME)
    assert (model.card.fps, model.card.steps, model.card.sizes[0]) == (16, 50, Size(832, 480))
    assert model.flow_shift == 3.0, "what its scheduler says"
    write_json(published / "scheduler/scheduler_config.json", {"flow_shift": 1.0})
    assert catalog.open_folder(published).flow_shift == 5.0, "what its authors take, where it says nothing"
    write_published(published, num_attention_heads="many")
    assert catalog.open_folder(published).published is None
    write_published(published, num_attention_heads=13)
    assert catalog.open_folder(published).published is None
    write_published(published, SKYREELS, inject_sample_info=True)
    assert catalog.open_folder(published).published is published_model("skyreels-v2-df-1.3b-540p")


@pytest.mark.parametrize(
    ("folder", "vae", "experts", "config", "name"),
    [
        ("wan", "Wan2.1_VAE.pth", 1, {}, NAME),
        ("wan", "Wan2.1_VAE.pth", 1, LARGE, "wan2.1-t2v-14b"),
        ("wan", "Wan2.1_VAE.pth", 1, LARGE | IMAGE, "wan2.1-i2v-14b-480p"),
        ("Wan2.1-I2V-14B-720P", "Wan2.1_VAE.pth", 1, LARGE | IMAGE, "wan2.1-i2v-14b-720p"),
        ("wan", "Wan2.1_VAE.pth", 2, LARGE, "wan2.2-t2v-a14b"),
        ("wan", "Wan2.1_VAE.pth", 2, LARGE | IMAGE, "wan2.2-i2v-a14b"),
        ("wan", "Wan2.2_VAE.pth", 1, {"dim": 3072, "num_heads": 24, "in_dim": 48, "out_dim": 48, "model_type": "ti2v"},
         "wan2.2-ti2v-5b"),
        ("x", "Wan2.1_VAE.pth", 1, {"inject_sample_info": True}, "skyreels-v2-df-1.3b-540p"),
        ("SkyReels-V2-DF-14B-720P", "Wan2.1_VAE.pth", 1, LARGE, "skyreels-v2-df-14b-720p"),
    ],
)  # fmt: skip
def test_an_original_checkpoint_is_recognised(
    folder: str, vae: str, experts: int, config: dict[str, Any], name: str, tmp_path: Path
) -> None:
    known = published_model(name)
    model = catalog.open_folder(write_original(tmp_path / folder, vae, experts, **config))
    assert model.published is known
    assert (model.flow_shift, model.card.guidance_2) == (known.flow_shift, known.card.get("guidance_2"))
    assert model.form.pipeline == known.form.pipeline and len(model.form.experts) == experts
    assert (model.form.image_states != "none") == (CLIP in {path.name for path in model.files})
    assert set(model.form.experts) < set(model.places)
    assert model.bytes == sum(path.stat().st_size for path in model.files)


def test_an_original_checkpoint_that_is_not_whole(tmp_path: Path) -> None:
    folder = write_original(tmp_path / "wan")
    vae = folder / "Wan2.1_VAE.pth"
    whole = vae.read_bytes()
    vae.write_bytes(whole[:-40])
    with pytest.raises(BadWeights, match=r"Wan2\.1_VAE\.pth: cut short"):
        catalog.open_folder(folder)
    vae.unlink()
    with pytest.raises(BadWeights, match="0 VAEs of"):
        catalog.open_folder(folder)
    vae.write_bytes(whole)
    write_config(folder, WAN | {"colour": 1})
    with pytest.raises(BadWeights, match="unknown: colour"):
        catalog.open_folder(folder)
    write_config(folder, WAN | {"_class_name": "FluxModel"})
    with pytest.raises(BadWeights, match="FluxModel"):
        catalog.open_folder(folder)
    write_config(folder, WAN)
    (folder / "models_t5_umt5-xxl-enc-bf16.pth").unlink()
    with pytest.raises(BadWeights, match="the text encoder is not there"):
        catalog.open_folder(folder)


def test_models_are_listed_in_either_form_and_what_is_under_way_is_not(settings: Settings) -> None:
    write_original(settings.models_folder / "mine")
    write_published(settings.models_folder / "yours")
    write_published(settings.models_folder / f".{NAME}.part")
    (settings.models_folder / "other").mkdir()
    assert {"mine", "yours"} <= set(catalog.names(settings))
    assert not {"other", f".{NAME}.part"} & set(catalog.names(settings))
    assert catalog.find("mine", settings).card.name == "mine"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_is_taken_from_a_folder(layout: str, settings: Settings, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_published(source) if layout == "diffusers" else write_original(source)
    (source / "notes.py").write_text("raise SystemExit")
    folder = take(published_model(NAME), source, settings)
    model = catalog.find(NAME, settings)
    assert (model.folder, model.card.licence) == (folder, "apache-2.0" if layout == "diffusers" else "Apache-2.0")
    assert model.pulled is not None and model.pulled.source == str(source)
    assert not (folder / "notes.py").exists()
    assert all(path.samefile(source / path.relative_to(folder)) for path in model.files), "linked, not copied"
    assert model.weights_sha256 == catalog.open_folder(source).weights_sha256
    with pytest.raises(InvalidRequest, match="is here already"):
        take(published_model(NAME), source, settings)


def test_who_comes_second_is_told_so(settings: Settings, published: Path) -> None:
    def another(_: str) -> None:
        take(published_model(NAME), published, settings)

    with pytest.raises(InvalidRequest, match="is here already"):
        take(published_model(NAME), published, settings, on_licence=another)
    assert NAME in catalog.names(settings)


def test_weights_that_changed_after_the_pull_are_counted_anew(settings: Settings, published: Path) -> None:
    folder = take(published_model(NAME), published, settings)
    before = catalog.find(NAME, settings).weights_sha256
    path = folder / "vae/model.safetensors"
    path.unlink()
    save_file({"x": np.ones((8, 8), np.float32)}, path)
    assert catalog.find(NAME, settings).weights_sha256 != before


@pytest.mark.parametrize("index", ["", "a.safetensors.index.json"])
def test_no_weights_hide_behind_an_index(index: str, published: Path) -> None:
    """A file beside the shards, or shards of a second index, may be what is loaded: the digest is of them too."""
    part, before = published / "transformer", catalog.open_folder(published).weights_sha256
    save_file({"x0": np.ones((8, 8), np.float32)}, part / ("b.safetensors" if index else WHOLE[0]))
    if index:
        write_json(part / index, {"weight_map": {"x0": "b.safetensors"}})
    assert {*SHARDS} < {path.name for path in catalog.open_folder(published).files}
    assert catalog.open_folder(published).weights_sha256 != before


def test_a_folder_that_is_not_that_model_or_not_whole(settings: Settings, published: Path) -> None:
    shard = published / "transformer" / SHARDS[1]
    data = shard.read_bytes()
    shard.write_bytes(data[:-9])
    with pytest.raises(BadWeights, match=f"{SHARDS[1]}: cut short"):
        take(published_model(NAME), published, settings)
    shard.unlink()
    with pytest.raises(BadWeights, match="not there, though its index names it"):
        take(published_model(NAME), published, settings)
    shard.write_bytes(data)
    with pytest.raises(BadWeights, match=f"holds {NAME}, not wan2.1-t2v-14b"):
        take(published_model("wan2.1-t2v-14b"), published, settings)
    (published / "text_encoder/model.safetensors").rename(published / "text_encoder/pytorch_model.bin")
    with pytest.raises(BadWeights, match="text_encoder: no safetensors file"):
        take(published_model(NAME), published, settings)
    with pytest.raises(BadWeights, match="no such folder"):
        take(published_model(NAME), published / "nowhere", settings)
    assert NAME not in catalog.names(settings)


def test_too_little_room_is_said_before_anything_is_copied(
    settings: Settings, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 400_000_000))
    monkeypatch.setattr(os, "link", on_another_disk)
    with pytest.raises(OutputError, match=r"needs 0\.0 GB more .* has 0\.4 GB free: 0\.7 GB are missing") as caught:
        take(published_model(NAME), published, settings)
    assert caught.value.option == "home"
    assert not [path for path in settings.models_folder.rglob("*") if path.is_file()]


def test_where_nothing_can_be_linked_it_is_copied(
    settings: Settings, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", on_another_disk)
    folder = take(published_model(NAME), published, settings)
    model = catalog.find(NAME, settings)
    assert not any(path.samefile(published / path.relative_to(folder)) for path in model.files)
    assert model.weights_sha256 == catalog.open_folder(published).weights_sha256


def on_another_disk(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_licences() -> None:
    mine, none = Settings(home=Path("/x"), licences="Apache-2.0, skywork-license"), Settings(home=Path("/x"))
    for licence in ("apache-2.0", "MIT", NOT_STATED):
        check_licence("m", licence, none, accepted=False)
    check_licence("m", "Skywork-License", mine, accepted=False)
    check_licence("m", "openrail", none, accepted=True)
    for licence, settings, accepted in (("openrail", none, False), ("mit", mine, True), (NOT_STATED, mine, True)):
        with pytest.raises(LicenceNotAllowed) as caught:
            check_licence("m", licence, settings, accepted=accepted)
        assert "HIBARI_LICENCES" in caught.value.hint and "\n" not in str(caught.value)


def test_a_model_whose_licence_is_not_allowed_does_not_open(settings: Settings) -> None:
    folder = write_published(settings.models_folder / "mine")
    assert catalog.find("mine", settings).card.licence == "apache-2.0"
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: other\nlicense_name: 'own-1.0'\n---\n")
    assert stated_licence(folder) == "own-1.0"
    with pytest.raises(LicenceNotAllowed, match=r"the licence own-1\.0"):
        catalog.find("mine", settings)
    assert catalog.look("mine", settings).card.licence == "own-1.0"
    (folder / "README.md").write_text("license: mit\n")
    assert stated_licence(folder) == NOT_STATED
