"""Weights of transformer and VAE in and out of diffusers folders, and every folder that is refused. About 8 seconds."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from hibari.errors import BadWeights, OutputError
from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.weights import load_dit, load_vae, save_dit, save_vae
from hibari.model.weights.keys import DIT_KEYS, published_key
from tiny_dit import FORMS, class_of, our_dit, published_dit
from tiny_pipeline import tiny_vae

TENSORS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_dit(our_dit("wan2.1"), tmp_path / "dit")
    return tmp_path / "dit"


@pytest.mark.parametrize("form", FORMS)
def test_diffusers_opens_what_we_save_and_the_keys_are_the_same(form: str, tmp_path: Path) -> None:
    ours = our_dit(form)
    save_dit(ours, tmp_path)
    theirs, notes = class_of(form).from_pretrained(tmp_path, output_loading_info=True)
    assert not notes["missing_keys"] and not notes["unexpected_keys"] and not notes["mismatched_keys"]
    assert {published_key(key) for key in ours.state_dict()} == set(theirs.state_dict())
    again = load_dit(tmp_path)
    assert again.config == ours.config
    for key, tensor in ours.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


def test_the_table_names_each_module_once_and_no_other() -> None:
    starred = {
        "blocks.*." + key[len("blocks.0.") :] if key.startswith("blocks.0.") else key
        for form in FORMS
        for key in our_dit(form).state_dict()
        if not key.startswith("blocks.1.")
    }
    assert {key if key in DIT_KEYS else key.rsplit(".", 1)[0] for key in starred} == set(DIT_KEYS)
    assert len(set(DIT_KEYS.values())) == len(DIT_KEYS)


def test_the_first_image_folders_hold_a_norm_that_nobody_uses(tmp_path: Path) -> None:
    save_dit(our_dit("image"), tmp_path)
    unused = "blocks.1.attn2.norm_added_q.weight"
    change_tensors(lambda t: t.update({unused: torch.ones(56)}))(tmp_path)
    load_dit(tmp_path)
    change_tensors(lambda t: t.update({unused: torch.ones(57)}))(tmp_path)
    with pytest.raises(BadWeights, match=r"norm_added_q.weight has shape \(57,\), not \(56,\)"):
        load_dit(tmp_path)


def test_an_older_folder_lacks_what_came_later(tmp_path: Path) -> None:
    save_dit(our_dit("wan2.1"), tmp_path)
    change_config(image_dim="gone", added_kv_proj_dim="gone", pos_embed_seq_len="gone")(tmp_path)
    assert load_dit(tmp_path).config.image_dim is None


def test_a_sharded_folder_loads(tmp_path: Path) -> None:
    theirs = published_dit("wan2.1")
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="60KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    whole, shards = (load_dit(tmp_path / name).state_dict() for name in ("whole", "shards"))
    assert all(torch.equal(whole[key], shards[key]) for key in whole)


def test_bf16_on_the_way_in_keeps_some_parts_in_float32(folder: Path) -> None:
    state = load_dit(folder, dtype=torch.bfloat16).state_dict()
    kept = {key for key, tensor in state.items() if tensor.dtype == torch.float32}
    assert "modulation" in kept and "blocks.1.modulation" in kept and "blocks.0.norm2.weight" in kept
    assert all(any(part in key for part in ("time_embedder", "modulation", "norm2")) for key in kept)


def test_bf16_on_the_way_out_halves_the_file(tmp_path: Path) -> None:
    model = our_dit("mini")
    save_dit(model, tmp_path, torch.bfloat16)
    saved = load_file(tmp_path / TENSORS)
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert load_dit(tmp_path, dtype=torch.bfloat16).modulation.dtype == torch.float32
    assert (tmp_path / TENSORS).stat().st_mode & 0o444 == 0o444
    assert torch.equal(load_dit(tmp_path).proj_out.weight, model.proj_out.weight.bfloat16().float())
    assert model.proj_out.weight.dtype == torch.float32


def test_thirty_megabytes_load_in_a_moment(tmp_path: Path) -> None:
    model = WanDiT(DiTConfig(num_layers=7))
    model.init_weights()
    save_dit(model.cast(torch.bfloat16), tmp_path)
    start = time.process_time()
    load_dit(tmp_path, dtype=torch.bfloat16)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("form", ["2.1", "2.2"])
def test_the_vae_goes_both_ways(form: str, tmp_path: Path) -> None:
    theirs = tiny_vae() if form == "2.2" else AutoencoderKLWan(base_dim=8, num_res_blocks=1)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_vae(tmp_path / "theirs")
    save_vae(ours, tmp_path / "ours")
    again, notes = AutoencoderKLWan.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not notes["missing_keys"] and not notes["unexpected_keys"]
    assert {k: v for k, v in again.config.items() if k[0] != "_"} == {
        k: v for k, v in theirs.config.items() if k[0] != "_"
    }
    assert all(torch.equal(tensor, theirs.state_dict()[key]) for key, tensor in again.state_dict().items())


def test_a_published_vae_folder_has_a_key_that_means_nothing(tmp_path: Path) -> None:
    tiny_vae().save_pretrained(tmp_path)
    change_config(clip_output=False)(tmp_path)
    load_vae(tmp_path)
    change_config(clip_outputs=False)(tmp_path)
    with pytest.raises(BadWeights, match="unknown key clip_outputs"):
        load_vae(tmp_path)


def test_an_older_vae_folder_lacks_what_came_later(tmp_path: Path) -> None:
    AutoencoderKLWan(base_dim=8, num_res_blocks=1).save_pretrained(tmp_path)
    change_config(is_residual="gone", patch_size="gone", scale_factor_spatial="gone")(tmp_path)
    assert load_vae(tmp_path).config.scale_factor_spatial == 8
    change_config(latents_mean=[0.0])(tmp_path)
    with pytest.raises(BadWeights, match="latents_mean and latents_std must have 16 numbers"):
        load_vae(tmp_path)


def change_config(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        raw = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({k: v for k, v in (raw | values).items() if v != "gone"}))

    return change


def change_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / TENSORS)
        change(tensors)
        save_file(tensors, folder / TENSORS)

    return rewrite


def truncate(folder: Path) -> None:
    data = (folder / TENSORS).read_bytes()
    (folder / TENSORS).write_bytes(data[: len(data) // 2])


def pickle_instead(folder: Path) -> None:
    (folder / TENSORS).unlink()
    torch.save({}, folder / "diffusion_pytorch_model.bin")


def climbing_index(folder: Path) -> None:
    (folder / TENSORS).rename(folder.parent / "elsewhere.safetensors")
    (folder / f"{TENSORS}.index.json").write_text('{"weight_map": {"proj_out.bias": "../elsewhere.safetensors"}}')


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no folder": (lambda f: f.rename(f.parent / "moved"), r"config.json: cannot be read"),
    "config not JSON": (lambda f: (f / "config.json").write_text("{"), r"config.json: not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), r"config.json: not a JSON object"),
    "other architecture": (change_config(_class_name="FluxModel"), r"holds a FluxModel, not a WanTransformer3DModel"),
    "half an image form": (change_config(image_dim=1280), r"added_kv_proj_dim is None, image_dim 1280"),
    "no image weights": (change_config(image_dim=24, added_kv_proj_dim=56), r"no tensor blocks.0.attn2.add_k_proj"),
    "positions without images": (change_config(pos_embed_seq_len=514), r"pos_embed_seq_len is 514"),
    "a rate in a Wan": (change_config(inject_sample_info=True), r"unknown key inject_sample_info"),
    "weights of a rate lacking": (
        change_config(_class_name="SkyReelsV2Transformer3DModel", inject_sample_info=True),
        r"no tensor fps_embedding.weight",
    ),
    "unknown key": (change_config(banana=1), r"unknown key banana"),
    "lacking key": (change_config(ffn_dim="gone"), r"no ffn_dim"),
    "text for a number": (change_config(num_layers="two"), r"num_layers is 'two'"),
    "a billion layers": (change_config(num_layers=10**9), r"num_layers is 1000000000"),
    "zero heads": (change_config(num_attention_heads=0), r"num_attention_heads is 0"),
    "two-sided patch": (change_config(patch_size=[2, 2]), r"patch_size is \[2, 2\]"),
    "other norm": (change_config(qk_norm="layer_norm"), r"qk_norm is 'layer_norm'"),
    "more layers": (change_config(num_layers=3), r"no tensor blocks.2"),
    "fewer layers": (change_config(num_layers=1), r"unexpected tensor blocks.1"),
    "wrong shape": (change_config(ffn_dim=96), r"blocks.0.ffn.net.0.proj.bias has shape \(80,\), not \(96,\)"),
    "missing key": (change_tensors(lambda t: t.pop("proj_out.bias")), r"no tensor proj_out.bias"),
    "unexpected key": (change_tensors(lambda t: t.update(extra=torch.zeros(1))), r"unexpected tensor extra"),
    "integers": (change_tensors(lambda t: t.update({"proj_out.bias": t["proj_out.bias"].int()})), r"torch.int32"),
    "truncated": (truncate, r"not a whole safetensors file"),
    "no tensors": (lambda f: (f / TENSORS).unlink(), r"no such file"),
    "pickle": (pickle_instead, r"only pickled weights"),
    "index that climbs": (climbing_index, r"not a safetensors file of this folder"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(case: str, folder: Path) -> None:
    damage, message = BROKEN[case]
    damage(folder)
    with pytest.raises(BadWeights, match=message) as caught:
        load_dit(folder)
    assert "\n" not in str(caught.value)


def test_a_shard_that_differs_from_its_index_is_refused(tmp_path: Path) -> None:
    published_dit("wan2.1").save_pretrained(tmp_path, max_shard_size="60KB")
    index = tmp_path / f"{TENSORS}.index.json"
    raw = json.loads(index.read_text())
    del raw["weight_map"]["proj_out.bias"]
    index.write_text(json.dumps(raw))
    with pytest.raises(BadWeights, match=r"proj_out.bias does not stand in both"):
        load_dit(tmp_path)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write the weights"):
        save_dit(our_dit("mini"), tmp_path / "file" / "dit")
