"""Text and image encoders of original checkpoints compute what the published modules do, tiny. About 6 seconds."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPVisionModel, UMT5EncoderModel

from hibari.errors import BadWeights
from hibari.model.pretrained import load_pretrained
from original_parts import Shapes, image_shapes, text_shapes

TEXT, IMAGE = "models_t5_umt5-xxl-enc-bf16.pth", "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
Tensors = dict[str, Tensor]


def drawn(shapes: Shapes) -> Tensors:
    generator = torch.Generator().manual_seed(3)
    return {key: 0.3 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, scale: float) -> Tensor:
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(0, 1) for x in (q, k, v))
    return ((q @ k.transpose(1, 2) * scale).softmax(-1) @ v).transpose(0, 1).flatten(1)


def text_states(tensors: Tensors, ids: Tensor) -> Tensor:
    """What wan/modules/t5.py computes where no position counts, as its tables say it; heads of 64."""

    def norm(x: Tensor, name: str) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * tensors[f"{name}.weight"]

    x = tensors["token_embedding.weight"][ids]
    for i in range(2):
        block = f"blocks.{i}"
        q, k, v = (norm(x, f"{block}.norm1") @ tensors[f"{block}.attn.{name}.weight"].T for name in "qkv")
        x = x + attend(q, k, v, heads=2, scale=1.0) @ tensors[f"{block}.attn.o.weight"].T
        y = norm(x, f"{block}.norm2")
        gate = F.gelu(y @ tensors[f"{block}.ffn.gate.0.weight"].T, approximate="tanh")
        x = x + (gate * (y @ tensors[f"{block}.ffn.fc1.weight"].T)) @ tensors[f"{block}.ffn.fc2.weight"].T
    return norm(x, "norm")


def image_states(tensors: Tensors, pixels_CHW: Tensor) -> Tensor:
    """What wan/modules/clip.py gives after the last block but one; heads of 80."""
    at = {key.removeprefix("visual."): tensor for key, tensor in tensors.items()}

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, at[f"{name}.weight"], at[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], at[f"{name}.weight"], at[f"{name}.bias"])

    patches = F.conv2d(pixels_CHW[None], at["patch_embedding.weight"], stride=14)[0].flatten(1).T
    x = norm(torch.cat([at["cls_embedding"][0], patches]) + at["pos_embedding"][0], "pre_norm")
    for i in range(2):
        block = f"transformer.{i}"
        q, k, v = linear(norm(x, f"{block}.norm1"), f"{block}.attn.to_qkv").chunk(3, dim=-1)
        x = x + linear(attend(q, k, v, heads=2, scale=80**-0.5), f"{block}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.0")), f"{block}.mlp.2")
    return x


def test_the_text_encoder(tmp_path: Path) -> None:
    tensors = drawn(text_shapes(vocabulary=50, width=48, ffn=96, heads=2, layers=2))
    tensors |= {key: torch.zeros_like(tensor) for key, tensor in tensors.items() if "pos_embedding" in key}
    torch.save(tensors, tmp_path / TEXT)
    encoder = load_pretrained("UMT5EncoderModel", tmp_path / TEXT, "cpu", torch.float32)
    assert isinstance(encoder, UMT5EncoderModel)
    assert encoder.shared.weight is encoder.encoder.embed_tokens.weight
    ids = torch.tensor([3, 1, 4, 1, 5])
    with torch.no_grad():
        assert torch.allclose(encoder(ids[None]).last_hidden_state[0], text_states(tensors, ids), atol=1e-5)


def test_the_image_encoder(tmp_path: Path) -> None:
    tensors = drawn(image_shapes(width=160, layers=3, image=28))
    torch.save(tensors, tmp_path / IMAGE)
    encoder = load_pretrained("CLIPVisionModel", tmp_path / IMAGE, "cpu", torch.float32)
    assert isinstance(encoder, CLIPVisionModel)
    pixels = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = encoder(pixel_values=pixels[None], output_hidden_states=True).hidden_states[-2][0]
    assert torch.allclose(states, image_states(tensors, pixels), atol=1e-4)


@pytest.mark.parametrize(("encoder", "name"), [("UMT5EncoderModel", TEXT), ("CLIPVisionModel", IMAGE)])
def test_a_key_that_is_missing_or_too_much(encoder: str, name: str, tmp_path: Path) -> None:
    shapes = text_shapes(50, 48, 96, 2, 2) if name == TEXT else image_shapes(160, 2, 28)
    tensors = drawn(shapes)
    for wrong in (dict(list(tensors.items())[:-4]), tensors | {"colour": torch.ones(1)}, {}):
        torch.save(wrong, tmp_path / name)
        with pytest.raises(BadWeights) as caught:
            load_pretrained(encoder, tmp_path / name, "cpu", torch.float32)
        assert name in str(caught.value) and "\n" not in str(caught.value)
