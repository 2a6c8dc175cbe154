"""The key tables of original checkpoints, by shapes at full size, held to diffusers and transformers; and tiny ones
read as the parts they are. About 10 seconds."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, SkyReelsV2Transformer3DModel, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from hibari.errors import BadWeights
from hibari.model.weights import load_dit, load_vae
from hibari.model.weights.dit import KERNEL
from hibari.model.weights.keys import published_key
from hibari.model.weights.originals import dit_key, image_key, read_pickle, split_image, text_key, vae_key
from hibari.wan_layout import VAES, dit_values
from original_parts import Shapes, dit_shapes, image_shapes, text_shapes, vae21_shapes, vae22_shapes, write_config

SMALL = {"dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30}
LARGE = {"dim": 5120, "ffn_dim": 13824, "num_heads": 40, "num_layers": 40}
MIDDLE = {"dim": 3072, "ffn_dim": 14336, "num_heads": 24, "num_layers": 30}
TEXT = {"model_type": "t2v", "in_dim": 16, "out_dim": 16}
IMAGE = {"model_type": "i2v", "in_dim": 36, "out_dim": 16}
# Name, config, two experts, tensors in the published file (its index, or counted from the module code).
FORMS = {
    "wan2.1-t2v-1.3b": (SMALL | TEXT, False, 825),
    "wan2.1-t2v-14b": (LARGE | TEXT, False, 1095),
    "wan2.1-i2v-14b": (LARGE | IMAGE, False, 1303),
    "wan2.1-flf2v-14b": (LARGE | IMAGE | {"model_type": "flf2v"}, False, 1304),
    "wan2.2-t2v-a14b": (LARGE | TEXT, True, 1095),
    "wan2.2-i2v-a14b": (LARGE | IMAGE, True, 1095),
    "wan2.2-ti2v-5b": (MIDDLE | {"model_type": "ti2v", "in_dim": 48, "out_dim": 48}, False, 825),
    "skyreels-v2-df-1.3b": (SMALL | TEXT | {"inject_sample_info": True}, False, 830),
    "skyreels-v2-df-14b": (LARGE | TEXT | {"inject_sample_info": False}, False, 1095),
}


def config_of(form: str) -> dict[str, Any]:
    return {"_class_name": "WanModel", "eps": 1e-06, "freq_dim": 256, "text_len": 512} | FORMS[form][0]


def shapes_of(model: torch.nn.Module) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def on_meta(shapes: Shapes) -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


@pytest.mark.parametrize("form", FORMS)
def test_the_transformer_at_full_size(form: str, tmp_path: Path) -> None:
    config, two_experts, count = config_of(form), FORMS[form][1], FORMS[form][2]
    folder = tmp_path / ("high_noise_model" if two_experts else form)
    write_config(folder, config)
    values = dit_values(folder)
    of_class = SkyReelsV2Transformer3DModel if "skyreels" in form else WanTransformer3DModel
    assert values.pop("_class_name") == of_class.__name__
    with torch.device("meta"):
        published = shapes_of(of_class(**values))
    original = dit_shapes(config, two_experts=two_experts)
    assert len(original) == count
    assert {dit_key(key): shape for key, shape in original.items()} == published


@pytest.mark.parametrize("form", [form for form in FORMS if "skyreels" not in form and "flf2v" not in form])
def test_the_transformers_names_are_those_that_diffusers_gives(form: str) -> None:
    original = on_meta(dit_shapes(config_of(form), two_experts=FORMS[form][1]))
    ours = {dit_key(key): tensor for key, tensor in original.items()}
    theirs = convert_wan_transformer_to_diffusers(dict(original))
    # Its single-file form of the picture's embedding has other names than the class that it is for.
    assert {key for key, tensor in ours.items() if theirs.get(key) is not tensor} <= {
        key for key in ours if "image_embedder" in key
    }


@pytest.mark.parametrize(("name", "original", "count"), [
    ("Wan2.1_VAE.pth", vae21_shapes(), 194), ("Wan2.2_VAE.pth", vae22_shapes(), 196),
])  # fmt: skip
def test_the_vae_at_full_size(name: str, original: Shapes, count: int) -> None:
    values = {key: value for key, value in VAES[name].items() if key != "_class_name"}
    with torch.device("meta"):
        theirs = AutoencoderKLWan(**values)
    assert len(original) == count
    assert {vae_key(key): shape for key, shape in original.items()} == shapes_of(theirs)
    if name == "Wan2.1_VAE.pth":
        tensors = on_meta(original)
        assert {vae_key(key): tensor for key, tensor in tensors.items()} == convert_wan_vae_to_diffusers(dict(tensors))
        with torch.device("meta"):
            habit = AutoencoderKLWan().config
        assert all(list(value) == list(habit[key]) for key, value in values.items() if "latents" in key)


def test_the_text_encoder_at_full_size() -> None:
    config = UMT5Config(vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64)
    with torch.device("meta"):
        published = shapes_of(UMT5EncoderModel(config))
    assert published.pop("encoder.embed_tokens.weight") == published["shared.weight"]  # one tensor, tied
    original = text_shapes()
    assert len(original) == 242
    assert {text_key(key): shape for key, shape in original.items()} == published


def test_the_image_encoder_at_full_size() -> None:
    config = CLIPVisionConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, patch_size=14
    )
    with torch.device("meta"):
        published = shapes_of(CLIPVisionModel(config))
    original = on_meta(image_shapes())
    found = {}
    for key, tensor in original.items():
        name = image_key(key)
        found |= {} if name is None else {key: tuple(part.shape) for key, part in split_image(name, tensor)}
    assert found == published


@pytest.mark.parametrize("rename", [dit_key, vae_key, text_key, image_key])
def test_a_key_that_nobody_knows(rename: Callable[[str], str | None]) -> None:
    for key in ("blocks.0.colour.weight", "decoder.upsamples.0.colour.weight", "visual.transformer.0.x", "colour"):
        with pytest.raises(KeyError):
            rename(key)


TINY = {"_class_name": "WanModel", "eps": 1e-06, "freq_dim": 64, "text_len": 512, "dim": 96, "ffn_dim": 128} | {
    "num_heads": 2, "num_layers": 2
}  # fmt: skip


def drawn(shapes: Shapes) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


@pytest.mark.parametrize(
    ("place", "kind", "file"),
    [
        ("wan", TEXT, "diffusion_pytorch_model.safetensors"),
        ("wan", IMAGE | {"model_type": "flf2v"}, "diffusion_pytorch_model.safetensors"),
        ("low_noise_model", IMAGE, "diffusion_pytorch_model.safetensors"),
        ("skyreels", TEXT | {"inject_sample_info": True}, "model.safetensors"),
    ],
)
def test_an_original_transformer_is_the_one_that_diffusers_converts(
    place: str, kind: dict[str, Any], file: str, tmp_path: Path
) -> None:
    folder = tmp_path / place
    write_config(folder, TINY | kind)
    tensors = drawn(dit_shapes(TINY | kind, two_experts=place == "low_noise_model"))
    save_file(tensors, folder / file)
    ours = load_dit(folder).state_dict()
    assert len(ours) == len(tensors)
    by_name = {dit_key(key): tensor for key, tensor in tensors.items()}
    for key, tensor in ours.items():
        assert torch.equal(tensor, by_name[published_key(key)].permute(0, 2, 3, 4, 1).flatten(1) if key == KERNEL
                           else by_name[published_key(key)]), key  # fmt: skip


def test_an_original_transformer_in_shards_and_one_that_is_wrong(tmp_path: Path) -> None:
    write_config(tmp_path, TINY | TEXT)
    tensors = drawn(dit_shapes(TINY | TEXT))
    names = [f"diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    halves = [dict(list(tensors.items())[i::2]) for i in (0, 1)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, tmp_path / name)
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert len(load_dit(tmp_path).state_dict()) == len(tensors)
    (tmp_path / names[1]).rename(tmp_path / "gone")
    with pytest.raises(BadWeights, match="00002-of-00002"):
        load_dit(tmp_path)
    index.unlink()
    save_file(tensors | {"blocks.0.colour.weight": torch.ones(1)}, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(BadWeights, match=r"unexpected tensor blocks\.0\.colour\.weight"):
        load_dit(tmp_path)
    save_file(dict(list(tensors.items())[1:]), tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(BadWeights, match=r"no tensor patch_embedding\.weight"):
        load_dit(tmp_path)


@pytest.mark.parametrize(
    ("name", "shapes"), [("Wan2.1_VAE.pth", vae21_shapes(8)), ("Wan2.2_VAE.pth", vae22_shapes(8, 8))]
)
def test_an_original_vae_decodes_as_diffusers_does(name: str, shapes: Shapes, tmp_path: Path) -> None:
    tensors = {key: 0.05 * tensor for key, tensor in drawn(shapes).items()}
    torch.save(tensors, tmp_path / name)
    ours = load_vae(tmp_path / name)
    values = {key: value for key, value in VAES[name].items() if key != "_class_name"}
    narrow = {"base_dim": 8} | ({"decoder_base_dim": 8} if "decoder_base_dim" in values else {})
    theirs = AutoencoderKLWan(**values | narrow)
    theirs.load_state_dict({vae_key(key): tensor for key, tensor in tensors.items()}, strict=True)
    latent = torch.randn(1, values["z_dim"], 2, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(ours.decode(latent), theirs.decode(latent).sample, atol=1e-4)


class Shell:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)

    def __init__(self, path: str) -> None:
        self.path = path


def test_a_pickle_with_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"conv1.weight": torch.ones(1), "x": Shell(str(mark))}, tmp_path / "Wan2.1_VAE.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Shell(str(mark))))
    with pytest.raises(BadWeights, match="could run code") as caught:
        read_pickle(tmp_path / "Wan2.1_VAE.pth", vae_key)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadWeights, match="not a file of tensors"):
        read_pickle(tmp_path / "bare.pth", vae_key)
    assert not mark.exists()


def test_a_file_that_is_cut_short_or_holds_something_else(tmp_path: Path) -> None:
    path = tmp_path / "Wan2.1_VAE.pth"
    torch.save({"conv1.weight": torch.ones(4096)}, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BadWeights, match="cut short"):
        read_pickle(path, vae_key)
    torch.save({"conv1.weight": [1, 2]}, path)
    with pytest.raises(BadWeights, match="not a table of tensors"):
        read_pickle(path, vae_key)
    torch.save({"colour.weight": torch.ones(1)}, path)
    with pytest.raises(BadWeights, match=r"unexpected tensor colour\.weight"):
        read_pickle(path, vae_key)


def test_a_file_with_wrong_bytes_is_one_line_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "Wan2.1_VAE.pth"
    torch.save({"conv1.weight": torch.ones(2, 2), "conv1.bias": torch.ones(2)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (table,) = (name for name in parts if name.endswith("data.pkl"))
    refused = 0
    for place in range(2, len(parts[table])):  # the first two name the protocol
        wrong = bytearray(parts[table])
        wrong[place] ^= 0x2A
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, bytes(wrong) if name == table else data)
        try:
            read_pickle(path, vae_key)
        except BadWeights:
            refused += 1
    assert refused > 100
