"""LoRA files held against a model by their headers: every name, every fault, before torch. About 2 seconds."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from hibari.catalog import Lora
from hibari.catalog.loras import check_lora_names, find_loras, lora_names, read_layers
from hibari.config import Settings
from hibari.errors import BadWeights, InvalidRequest
from hibari.request import GenerationRequest, LoraUse
from hibari.wan_keys import original_name

SHAPES = {
    "blocks.0.attn1.to_q.weight": (8, 8),
    "blocks.0.attn1.to_q.bias": (8,),
    "blocks.0.attn1.norm_q.weight": (8,),
    "blocks.0.attn2.to_out.0.weight": (8, 8),
    "blocks.0.attn2.to_out.0.bias": (8,),
    "blocks.0.ffn.net.0.proj.weight": (16, 8),
    "blocks.0.ffn.net.0.proj.bias": (16,),
    "blocks.0.norm2.weight": (8,),
    "blocks.0.norm2.bias": (8,),
    "blocks.0.scale_shift_table": (1, 6, 8),
    "patch_embedding.weight": (8, 4, 1, 2, 2),
    "patch_embedding.bias": (8,),
    "condition_embedder.time_proj.weight": (48, 8),
    "condition_embedder.time_proj.bias": (48,),
    "scale_shift_table": (1, 2, 8),
    "proj_out.weight": (16, 8),
    "proj_out.bias": (16,),
}
Q = "blocks.0.attn1.to_q"


def write(path: Path, tensors: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file of zeros, written by hand: this test needs no torch."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for key, shape in tensors.items():
        size = 4
        for side in shape:
            size *= side
        header[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(offset))
    return path


def pair(name: str, down: str, up: str, *, rank: int = 2, out: int = 8, into: int = 8) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{down}": (rank, into), f"{name}.{up}": (out, rank)}


@pytest.mark.parametrize(
    ("name", "down", "up"),
    [
        ("transformer.blocks.0.attn1.to_q", "lora_A.weight", "lora_B.weight"),
        ("blocks.0.attn1.to_q", "lora_A.weight", "lora_B.weight"),
        ("base_model.model.blocks.0.attn1.to_q", "lora_A.default.weight", "lora_B.default.weight"),
        ("diffusion_model.blocks.0.self_attn.q", "lora_down.weight", "lora_up.weight"),
        ("diffusion_model.blocks.0.self_attn.q", "lora_A.weight", "lora_B.weight"),
        ("blocks.0.self_attn.q", "lora_down.weight", "lora_up.weight"),
        ("lora_unet_blocks_0_self_attn_q", "lora_down.weight", "lora_up.weight"),
        ("lora_unet__blocks_0_self_attn_q", "lora_down.weight", "lora_up.weight"),
        ("lora_unet_blocks_0_attn1_to_q", "lora_down.weight", "lora_up.weight"),
    ],
)
def test_every_form_of_name_lands_on_its_layer(tmp_path: Path, name: str, down: str, up: str) -> None:
    path = write(tmp_path / "a.safetensors", pair(name, down, up) | {f"{name}.alpha": ()})
    layers = read_layers(path, SHAPES, "tiny")
    assert list(layers) == [Q]
    assert (layers[Q].down, layers[Q].up, layers[Q].alpha) == (f"{name}.{down}", f"{name}.{up}", f"{name}.alpha")


def test_differences_of_distilled_files_land_too(tmp_path: Path) -> None:
    root = "diffusion_model"
    tensors = {
        f"{root}.blocks.0.self_attn.norm_q.diff": (8,),
        f"{root}.blocks.0.self_attn.q.diff_b": (8,),
        f"{root}.blocks.0.norm3.diff": (8,),
        f"{root}.blocks.0.norm3.diff_b": (8,),
        f"{root}.blocks.0.diff_m": (1, 6, 8),
        f"{root}.head.diff_m": (1, 2, 8),
        f"{root}.head.head.diff": (16, 8),
        f"{root}.patch_embedding.diff": (8, 4, 1, 2, 2),
        f"{root}.time_projection.1.diff_b": (48,),
    }
    layers = read_layers(write(tmp_path / "a.safetensors", tensors), SHAPES, "tiny")
    assert set(layers) == {
        *("blocks.0.attn1.norm_q", Q, "blocks.0.norm2", "blocks.0.scale_shift_table", "scale_shift_table"),
        *("proj_out", "patch_embedding", "condition_embedder.time_proj"),
    }
    assert layers["blocks.0.norm2"].weight.endswith("norm3.diff") and layers["blocks.0.norm2"].bias.endswith("diff_b")


def test_the_metadata_of_diffusers_states_the_scale(tmp_path: Path) -> None:
    both = pair(f"transformer.{Q}", "lora_A.weight", "lora_B.weight")
    both |= pair("transformer.blocks.0.attn2.to_out.0", "lora_A.weight", "lora_B.weight", rank=4)
    stated = {"transformer.r": 2, "transformer.lora_alpha": 3, "transformer.alpha_pattern": {"attn2.to_out.0": 8}}
    path = write(tmp_path / "a.safetensors", both, {"lora_adapter_metadata": json.dumps(stated)})
    layers = read_layers(path, SHAPES, "tiny")
    assert layers[Q].scale == 1.5 and layers["blocks.0.attn2.to_out.0"].scale == 2
    stated["transformer.use_rslora"] = True
    path = write(tmp_path / "b.safetensors", both, {"lora_adapter_metadata": json.dumps(stated)})
    assert read_layers(path, SHAPES, "tiny")[Q].scale == pytest.approx(3 / 2**0.5)


A, B = "lora_A.weight", "lora_B.weight"


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (pair("transformer.blocks.7.attn1.to_q", A, B), "no place"),
        (pair(f"transformer.{Q}", A, B, into=12), "takes 2x8"),
        (pair(f"transformer.{Q}", A, B, out=12), "takes 8x2"),
        ({f"{Q}.{A}": (2, 8), f"{Q}.{B}": (8, 3)}, "takes 8x2"),
        ({f"{Q}.{A}": (0, 8), f"{Q}.{B}": (8, 0)}, "is 0x8"),
        ({f"{Q}.{A}": (2, 8)}, "lacks its other half"),
        ({f"{Q}.alpha": ()}, "belongs to nothing"),
        (pair("blocks.0.attn1.norm_q", A, B), "takes"),
        (pair(Q, A, B) | {f"{Q}.dora_scale": (8,)}, "another kind"),
        ({"diffusion_model.blocks.0.self_attn.q.hada_w1_a": (8, 2)}, "another kind"),
        ({"lora_te1_layers_0.lora_down.weight": (2, 8)}, "text encoder"),
        (pair(Q, A, B) | pair(f"transformer.{Q}", A, B), "are for one layer"),
        ({f"{Q}.something": (8,)}, "no place"),
        ({}, "no tensors"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, tensors: dict[str, tuple[int, ...]], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as raised:
        read_layers(write(tmp_path / "a.safetensors", tensors), SHAPES, "tiny")
    assert raised.value.option == "loras" and "a.safetensors" in str(raised.value)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", pair(Q, A, B))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadWeights, match="cut short"):
        read_layers(path, SHAPES, "tiny")
    path.write_bytes(b"\x80\x02}q\x00.")  # a pickle
    with pytest.raises(BadWeights, match="not safetensors"):
        read_layers(path, SHAPES, "tiny")


@pytest.fixture
def model(tmp_path: Path) -> SimpleNamespace:
    """What of a model is asked for: its name, its form, and the headers of its transformer."""
    file = write(tmp_path / "model" / "transformer" / "weights.safetensors", SHAPES)
    card, form = SimpleNamespace(fast=None), SimpleNamespace(experts=("transformer",))
    return SimpleNamespace(name="tiny", places={"transformer": file.parent}, form=form, card=card)


def found(model: SimpleNamespace, home: Path, *uses: str | LoraUse) -> tuple[Lora, ...]:
    request = GenerationRequest(prompt="x", loras=uses)  # type: ignore[arg-type]  # text is read there
    return find_loras(request.loras, model, Settings(home=home))  # type: ignore[arg-type]  # see `model`


def test_names_lie_in_the_data_folder_and_files_anywhere(tmp_path: Path, model: SimpleNamespace) -> None:
    first = write(tmp_path / "loras" / "sketch.safetensors", pair(Q, A, B))
    other = write(tmp_path / "else" / "fast.safetensors", pair(Q, A, B))
    assert lora_names(Settings(home=tmp_path)) == ["sketch"] and lora_names(Settings(home=tmp_path / "no")) == []
    one, two = found(model, tmp_path, "sketch:0.5", str(other))
    assert (one.path, one.weight, two.path, two.weight) == (first, 0.5, other, 1.0)
    assert one.mark == f"sketch:0.5#{one.sha256[:12]}"
    with pytest.raises(InvalidRequest, match="Here: sketch"):
        found(model, tmp_path, "nothing")
    with pytest.raises(InvalidRequest, match="name"):
        check_lora_names((LoraUse(str(other)),))
    check_lora_names((LoraUse("sketch"),))
    with pytest.raises(InvalidRequest, match="another file"):
        found(model, tmp_path, LoraUse("sketch", sha256="0" * 64))
    assert found(model, tmp_path, LoraUse("sketch", sha256=one.sha256))


def test_an_original_checkpoint_takes_the_same_files(tmp_path: Path, model: SimpleNamespace) -> None:
    renamed = {}
    for key, shape in SHAPES.items():
        layer, dot, leaf = key.rpartition(".") if key.endswith((".weight", ".bias")) else (key, "", "")
        renamed[f"{original_name(layer)}{dot}{leaf}"] = shape
    assert "blocks.0.self_attn.q.weight" in renamed and "head.modulation" in renamed
    file = write(tmp_path / "original" / "weights.safetensors", renamed)
    write(tmp_path / "loras" / "sketch.safetensors", pair(f"transformer.{Q}", A, B))
    (plain,) = found(model, tmp_path, "sketch")
    model.places = {"transformer": file.parent}
    assert found(model, tmp_path, "sketch") == (plain,) and list(plain.layers) == [Q]


def test_experts_are_named_where_there_are_two(tmp_path: Path, model: SimpleNamespace) -> None:
    write(tmp_path / "loras" / "fast.safetensors", pair(Q, A, B))
    with pytest.raises(InvalidRequest, match="one transformer"):
        found(model, tmp_path, "fast@high")
    model.form.experts = ("transformer", "transformer_2")
    assert [each.expert for each in found(model, tmp_path, "fast@high:0.5", "fast@low", "fast")] == ["high", "low", ""]


def test_a_file_of_the_second_transformer_goes_nowhere_else(tmp_path: Path, model: SimpleNamespace) -> None:
    write(tmp_path / "loras" / "second.safetensors", pair(f"transformer_2.{Q}", A, B))
    with pytest.raises(InvalidRequest, match="second of two transformers"):
        found(model, tmp_path, "second")
    model.form.experts = ("transformer", "transformer_2")
    for use in ("second", "second@high"):
        with pytest.raises(InvalidRequest, match="Name it as second@low"):
            found(model, tmp_path, use)
    assert [each.expert for each in found(model, tmp_path, "second@low")] == ["low"]


def test_a_name_that_no_system_takes(tmp_path: Path, model: SimpleNamespace) -> None:
    (tmp_path / "loras").mkdir()
    with pytest.raises(InvalidRequest, match="cannot be looked for") as raised:
        found(model, tmp_path, "x" * 300)
    assert raised.value.option == "loras"


@pytest.mark.parametrize("wrong", ["", "a:b", "a:1:2", ":1", "a@middle:x", "a:99", "a:nan"])
def test_a_use_that_is_none(wrong: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        GenerationRequest(prompt="x", loras=(wrong,))  # type: ignore[arg-type]  # text is read there
    assert raised.value.option == "loras"


@pytest.mark.parametrize("wrong", ["a", [3], [{"lora": "a", "more": 1}], ["a"] * 9, [LoraUse("a", True)]])
def test_a_list_that_is_none(wrong: object) -> None:
    with pytest.raises(InvalidRequest):
        GenerationRequest(prompt="x", loras=wrong)  # type: ignore[arg-type]


def test_a_use_as_a_record_keeps_it() -> None:
    kept = {"lora": "/a/b.safetensors", "weight": 0.5, "expert": "low", "sha256": "0" * 64}
    request = GenerationRequest(prompt="x", loras=[kept])  # type: ignore[arg-type]
    assert request.loras == (LoraUse("/a/b.safetensors", 0.5, "low", "0" * 64),)
