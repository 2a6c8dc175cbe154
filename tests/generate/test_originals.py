"""An original checkpoint makes what the diffusers folder with the same weights makes, bit for bit. About 15 seconds."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler
from safetensors.torch import save_file

from hibari import catalog
from hibari.errors import BadWeights
from hibari.generate.anatomy import anatomy_of
from hibari.generate.backend import Prompt
from hibari.generate.generator import Generator
from hibari.generate.plan import make_plan
from hibari.model.clip_image import CLIPImageEncoder
from hibari.model.encoders import load_image_encoder, load_text_encoder
from hibari.model.umt5 import UMT5TextEncoder
from hibari.model.weights import load_dit, load_vae, save_dit, save_vae
from hibari.request import GenerationRequest
from original_parts import dit_shapes, image_shapes, text_shapes, vae21_shapes, vae22_shapes, write_config
from published_folders import INDEX, write_json
from tiny_wan import build_tiny_wan

CLIP = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
CPU = torch.device("cpu")
WIDE = {"dim": 56, "ffn_dim": 64, "num_heads": 2, "num_layers": 2, "freq_dim": 32, "eps": 1e-06, "text_len": 512}
CARD = {"licence": "MIT", "revision": "1", "sizes": ["96x64"], "fps": 8, "seconds": 1, "max_seconds": 2, "steps": 2} | {
    "guidance": 4.0, "shift_grows": False
}  # fmt: skip
TWO = ("high_noise_model", "low_noise_model")
CASES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "wan2.1 t2v": ({"model_type": "t2v", "in_dim": 16, "out_dim": 16}, "Wan2.1_VAE.pth", ("",)),
    "wan2.1 i2v": ({"model_type": "i2v", "in_dim": 36, "out_dim": 16}, "Wan2.1_VAE.pth", ("",)),
    "wan2.2 ti2v": ({"model_type": "ti2v", "in_dim": 48, "out_dim": 48}, "Wan2.2_VAE.pth", ("",)),
    "wan2.2 two experts": ({"model_type": "t2v", "in_dim": 16, "out_dim": 16}, "Wan2.1_VAE.pth", TWO),
}


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {key: 0.05 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def write_original(folder: Path, case: str, tokenizer: Path) -> Path:
    kind, vae, places = CASES[case]
    config = {"_class_name": "WanModel"} | WIDE | kind
    for seed, place in enumerate(places):
        write_config(folder / place, config)
        save_file(drawn(dit_shapes(config), seed), folder / place / "diffusion_pytorch_model.safetensors")
    torch.save(drawn(vae21_shapes(8) if "2.1" in vae else vae22_shapes(8, 8), 3), folder / vae)
    torch.save(drawn(text_shapes(80, 4096, 32, 1, 1), 4), folder / "models_t5_umt5-xxl-enc-bf16.pth")
    if kind["model_type"] == "i2v":
        torch.save(drawn(image_shapes(1280, 2), 5), folder / CLIP)
    shutil.copytree(tokenizer, folder / "google/umt5-xxl")
    write_json(folder / "hibari.json", {"name": case} | CARD)
    return folder


def convert(original: catalog.Model, folder: Path) -> catalog.Model:
    """The diffusers folder with the weights that were loaded from an original checkpoint."""
    for part, place in original.places.items():
        if part.startswith("transformer"):
            save_dit(load_dit(place), folder / part)
    save_vae(load_vae(original.places["vae"]), folder / "vae")
    text = load_text_encoder(original.places["text_encoder"], original.places["tokenizer"], CPU, torch.float32)
    assert isinstance(text, UMT5TextEncoder)
    text.encoder.save_pretrained(folder / "text_encoder")
    shutil.copytree(original.places["tokenizer"], folder / "tokenizer")
    UniPCMultistepScheduler(use_flow_sigmas=True, flow_shift=original.flow_shift).save_pretrained(folder / "scheduler")
    index: dict[str, Any] = {"_class_name": original.form.pipeline}
    if "image_encoder" in original.places:
        image = load_image_encoder(original.places["image_encoder"], None, CPU, torch.float32)
        assert isinstance(image, CLIPImageEncoder)
        image.encoder.save_pretrained(folder / "image_encoder")
        image.processor.save_pretrained(folder / "image_processor")
        index["image_encoder"] = ["transformers", "CLIPVisionModel"]
    experts = dict.fromkeys(original.form.experts, INDEX["transformer"])
    write_json(
        folder / "model_index.json", INDEX | index | experts | {"boundary_ratio": original.form.boundary or None}
    )
    shutil.copy(original.folder / "hibari.json", folder)
    return catalog.open_folder(folder)


def make(model: catalog.Model) -> torch.Tensor:
    card = replace(model.card, verbs=("text to video",))  # what pictures a request needs is no matter here
    plan = make_plan(GenerationRequest(prompt="a red ball"), replace(model, card=card), seed=5)
    generator = Generator.load(model, CPU, torch.float32)
    picture = np.random.default_rng(2).integers(0, 255, (64, 96, 3), np.uint8)
    known = generator.know_pictures(plan, picture) if model.form.start == "channels" else ()
    latent = generator.make_latent(plan, Prompt("a red ball", "blurred"), known)
    frames = [torch.from_numpy(frame) for frame in generator.decode(latent)]
    return torch.cat([latent.flatten(), torch.stack(frames).flatten().float()])


@pytest.mark.parametrize("case", CASES)
def test_the_same_weights_make_the_same_frames_in_either_form(case: str, tmp_path: Path) -> None:
    tokenizer = build_tiny_wan(tmp_path / "tiny", "wan2.1 t2v") / "tokenizer"
    original = catalog.open_folder(write_original(tmp_path / "original", case, tokenizer))
    converted = convert(original, tmp_path / "converted")
    assert (original.form, original.strides) == (converted.form, converted.strides)
    made = make(original)
    assert made.isfinite().all() and made.std() > 0.1
    assert torch.equal(made, make(converted))
    one, other = anatomy_of(original), anatomy_of(converted)  # its VAE's width stands for the published one's
    assert (one.dit, one.experts) == (other.dit, other.experts)


class Touch:
    """A pickle that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["models_t5_umt5-xxl-enc-bf16.pth", "Wan2.1_VAE.pth"])
def test_an_original_checkpoint_with_code_in_it_is_not_loaded(name: str, tmp_path: Path) -> None:
    tokenizer = build_tiny_wan(tmp_path / "tiny", "wan2.1 t2v") / "tokenizer"
    folder = write_original(tmp_path / "original", "wan2.1 t2v", tokenizer)
    mark = tmp_path / "ran"
    torch.save({"norm.weight": torch.ones(1), "x": Touch(mark)}, folder / name)
    with pytest.raises(BadWeights, match="holds more than tensors, which could run code"):
        Generator.load(catalog.open_folder(folder), CPU, torch.float32)
    assert not mark.exists()


def test_a_vae_of_the_other_form_is_not_loaded(tmp_path: Path) -> None:
    tokenizer = build_tiny_wan(tmp_path / "tiny", "wan2.1 t2v") / "tokenizer"
    folder = write_original(tmp_path / "original", "wan2.1 t2v", tokenizer)
    torch.save(drawn(vae22_shapes(8, 8), 3), folder / "Wan2.1_VAE.pth")
    with pytest.raises(BadWeights, match=r"Wan2\.1_VAE\.pth: (unexpected tensor|\S+ has shape)"):
        Generator.load(catalog.open_folder(folder), CPU, torch.float32)
