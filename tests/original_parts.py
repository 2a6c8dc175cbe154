"""The parts of original checkpoints as tables of keys and shapes, written out from the published module code.

Sources: wan/modules/model.py, vae.py, t5.py and clip.py of Wan-Video/Wan2.1, vae2_2.py of Wan-Video/Wan2.2,
modules/transformer.py of SkyworkAI/SkyReels-V2. Nothing here comes from Hibari's own tables, which tests hold to these.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]
MULTIPLES = (1, 2, 4, 4)
HALVES_TIME = (False, True, True)


def linear(name: str, given: int, made: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (made, given)} | ({f"{name}.bias": (made,)} if bias else {})


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def conv(name: str, given: int, made: int, kernel: Sequence[int]) -> Shapes:
    return {f"{name}.weight": (made, given, *kernel), f"{name}.bias": (made,)}


def dit_shapes(config: dict[str, object], *, two_experts: bool = False) -> Shapes:
    """The transformer of a config.json; one of two experts sees no picture."""
    width, ffn, layers = int(str(config["dim"])), int(str(config["ffn_dim"])), int(str(config["num_layers"]))
    sees = config["model_type"] in ("i2v", "flf2v") and not two_experts
    shapes = conv("patch_embedding", int(str(config["in_dim"])), width, (1, 2, 2))
    shapes |= linear("text_embedding.0", 4096, width) | linear("text_embedding.2", width, width)
    shapes |= linear("time_embedding.0", int(str(config["freq_dim"])), width) | linear("time_embedding.2", width, width)
    shapes |= linear("time_projection.1", width, 6 * width)
    if config.get("inject_sample_info"):
        shapes |= {"fps_embedding.weight": (2, width)}
        shapes |= linear("fps_projection.0", width, width) | linear("fps_projection.2", width, 6 * width)
    for i in range(layers):
        block = f"blocks.{i}"
        for attention in ("self_attn", "cross_attn"):
            for x in "qkvo":
                shapes |= linear(f"{block}.{attention}.{x}", width, width)
            shapes |= {f"{block}.{attention}.norm_{x}.weight": (width,) for x in "qk"}
        if sees:
            shapes |= linear(f"{block}.cross_attn.k_img", width, width)
            shapes |= linear(f"{block}.cross_attn.v_img", width, width)
            shapes |= {f"{block}.cross_attn.norm_k_img.weight": (width,)}
        shapes |= norm(f"{block}.norm3", width)
        shapes |= linear(f"{block}.ffn.0", width, ffn) | linear(f"{block}.ffn.2", ffn, width)
        shapes |= {f"{block}.modulation": (1, 6, width)}
    shapes |= linear("head.head", width, 4 * int(str(config["out_dim"]))) | {"head.modulation": (1, 2, width)}
    if sees:
        shapes |= norm("img_emb.proj.0", 1280) | linear("img_emb.proj.1", 1280, 1280)
        shapes |= linear("img_emb.proj.3", 1280, width) | norm("img_emb.proj.4", width)
        if config["model_type"] == "flf2v":
            shapes |= {"img_emb.emb_pos": (1, 514, 1280)}
    return shapes


def residual(name: str, given: int, made: int) -> Shapes:
    shapes: Shapes = {f"{name}.residual.0.gamma": (given, 1, 1, 1), f"{name}.residual.3.gamma": (made, 1, 1, 1)}
    shapes |= conv(f"{name}.residual.2", given, made, (3, 3, 3)) | conv(f"{name}.residual.6", made, made, (3, 3, 3))
    return shapes | (conv(f"{name}.shortcut", given, made, (1, 1, 1)) if given != made else {})


def middle(name: str, width: int) -> Shapes:
    shapes = residual(f"{name}.middle.0", width, width) | residual(f"{name}.middle.2", width, width)
    shapes |= {f"{name}.middle.1.norm.gamma": (width, 1, 1)}
    return (
        shapes
        | conv(f"{name}.middle.1.to_qkv", width, 3 * width, (1, 1))
        | conv(f"{name}.middle.1.proj", width, width, (1, 1))
    )


def ends(name: str, given: int, first: int, last: int, made: int) -> Shapes:
    shapes = conv(f"{name}.conv1", given, first, (3, 3, 3)) | conv(f"{name}.head.2", last, made, (3, 3, 3))
    return shapes | {f"{name}.head.0.gamma": (last, 1, 1, 1)}


def steps(widths: Sequence[int]) -> Iterator[tuple[int, int, int, bool]]:
    for i, (given, made) in enumerate(pairwise(widths)):
        yield i, given, made, i == len(MULTIPLES) - 1


def vae21_shapes(base: int = 96, channels: int = 16) -> Shapes:
    """Wan2.1_VAE.pth: each side is one row of blocks."""
    shapes = conv("conv1", 2 * channels, 2 * channels, (1, 1, 1)) | conv("conv2", channels, channels, (1, 1, 1))
    down = [base * multiple for multiple in (1, *MULTIPLES)]
    shapes |= ends("encoder", 3, down[0], down[-1], 2 * channels) | middle("encoder", down[-1])
    row = 0
    for i, given, made, last in steps(down):
        for inside in (given, made):
            shapes |= residual(f"encoder.downsamples.{row}", inside, made)
            row += 1
        if not last:
            shapes |= conv(f"encoder.downsamples.{row}.resample.1", made, made, (3, 3))
            if HALVES_TIME[i]:
                shapes |= conv(f"encoder.downsamples.{row}.time_conv", made, made, (3, 1, 1))
            row += 1
    up = [base * multiple for multiple in (MULTIPLES[-1], *reversed(MULTIPLES))]
    shapes |= ends("decoder", channels, up[0], up[-1], 3) | middle("decoder", up[0])
    row = 0
    for i, before, made, last in steps(up):
        given = before // 2 if i else before
        for inside in (given, made, made):
            shapes |= residual(f"decoder.upsamples.{row}", inside, made)
            row += 1
        if not last:
            shapes |= conv(f"decoder.upsamples.{row}.resample.1", made, made // 2, (3, 3))
            if HALVES_TIME[::-1][i]:
                shapes |= conv(f"decoder.upsamples.{row}.time_conv", made, 2 * made, (3, 1, 1))
            row += 1
    return shapes


def vae22_shapes(base: int = 160, decoder: int = 256, channels: int = 48) -> Shapes:
    """Wan2.2_VAE.pth: blocks of blocks, with parameter-free shortcuts around them."""
    shapes = conv("conv1", 2 * channels, 2 * channels, (1, 1, 1)) | conv("conv2", channels, channels, (1, 1, 1))
    down = [base * multiple for multiple in (1, *MULTIPLES)]
    shapes |= ends("encoder", 12, down[0], down[-1], 2 * channels) | middle("encoder", down[-1])
    for i, given, made, last in steps(down):
        block = f"encoder.downsamples.{i}.downsamples"
        shapes |= residual(f"{block}.0", given, made) | residual(f"{block}.1", made, made)
        if not last:
            shapes |= conv(f"{block}.2.resample.1", made, made, (3, 3))
            shapes |= conv(f"{block}.2.time_conv", made, made, (3, 1, 1)) if HALVES_TIME[i] else {}
    up = [decoder * multiple for multiple in (MULTIPLES[-1], *reversed(MULTIPLES))]
    shapes |= ends("decoder", channels, up[0], up[-1], 12) | middle("decoder", up[0])
    for i, given, made, last in steps(up):
        block = f"decoder.upsamples.{i}.upsamples"
        for number, inside in enumerate((given, made, made)):
            shapes |= residual(f"{block}.{number}", inside, made)
        if not last:
            shapes |= conv(f"{block}.3.resample.1", made, made, (3, 3))
            shapes |= conv(f"{block}.3.time_conv", made, 2 * made, (3, 1, 1)) if HALVES_TIME[::-1][i] else {}
    return shapes


def text_shapes(
    vocabulary: int = 256384, width: int = 4096, ffn: int = 10240, heads: int = 64, layers: int = 24
) -> Shapes:
    """models_t5_umt5-xxl-enc-bf16.pth: every layer has positions of its own, heads are 64 wide."""
    shapes: Shapes = {"token_embedding.weight": (vocabulary, width), "norm.weight": (width,)}
    inside = 64 * heads
    for i in range(layers):
        block = f"blocks.{i}"
        shapes |= {f"{block}.norm1.weight": (width,), f"{block}.norm2.weight": (width,)}
        for x in "qkv":
            shapes |= linear(f"{block}.attn.{x}", width, inside, bias=False)
        shapes |= linear(f"{block}.attn.o", inside, width, bias=False)
        shapes |= linear(f"{block}.ffn.gate.0", width, ffn, bias=False) | linear(
            f"{block}.ffn.fc1", width, ffn, bias=False
        )
        shapes |= linear(f"{block}.ffn.fc2", ffn, width, bias=False)
        shapes |= {f"{block}.pos_embedding.embedding.weight": (32, heads)}
    return shapes


def image_shapes(width: int = 1280, layers: int = 32, image: int = 224, *, text: bool = True) -> Shapes:
    """models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth; of its text side, which Wan leaves alone, one key."""
    shapes: Shapes = {
        "log_scale": (),
        "visual.cls_embedding": (1, 1, width),
        "visual.pos_embedding": (1, 1 + (image // 14) ** 2, width),
        "visual.patch_embedding.weight": (width, 3, 14, 14),
        "visual.head": (width, 1024),
    }
    shapes |= norm("visual.pre_norm", width) | norm("visual.post_norm", width)
    for i in range(layers):
        block = f"visual.transformer.{i}"
        shapes |= norm(f"{block}.norm1", width) | norm(f"{block}.norm2", width)
        shapes |= linear(f"{block}.attn.to_qkv", width, 3 * width) | linear(f"{block}.attn.proj", width, width)
        shapes |= linear(f"{block}.mlp.0", width, 4 * width) | linear(f"{block}.mlp.2", 4 * width, width)
    return shapes | ({"textual.token_embedding.weight": (8, 16)} if text else {})


def write_config(folder: Path, config: dict[str, object]) -> None:
    """The config.json of an original transformer, in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
