"""The transformer against diffusers' on the same weights, and against itself in other arrangements. About 8 seconds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hibari.model.dit import DiTConfig, WanDiT, gelu
from hibari.model.packing import pack, unpack
from hibari.model.weights import load_dit
from hibari.shapes import PackLayout
from tiny_dit import FORMS, distance, our_dit, padded, psnr, published_dit

LENGTHS = (5, 9)


def inputs(form: str, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], list[Tensor]]:
    """Two latents of one shape and two texts of different length."""
    generator = torch.Generator().manual_seed(2)
    channels, text_dim = FORMS[form]["in_channels"], FORMS[form]["text_dim"]
    latents = [torch.randn(channels, 3, 4, 6, generator=generator, dtype=dtype) for _ in LENGTHS]
    return latents, [torch.randn(n, text_dim, generator=generator, dtype=dtype) for n in LENGTHS]


def pictures_for(form: str, count: int, dtype: torch.dtype = torch.float32) -> Tensor | None:
    """States of a picture, or of a pair one after the other, for each of `count` clips where the form sees them."""
    if "image_dim" not in FORMS[form]:
        return None
    states, generator = FORMS[form].get("pos_embed_seq_len", 7), torch.Generator().manual_seed(8)
    return torch.randn(count, states, FORMS[form]["image_dim"], generator=generator, dtype=dtype)


@torch.no_grad()
def velocities(
    model: WanDiT,
    latents: list[Tensor],
    levels: Tensor,
    texts: list[Tensor],
    *,
    pictures: Tensor | None = None,
    fps: int | None = None,
) -> list[Tensor]:
    """Packed, run, unpacked."""
    patches_LP, layout = pack(latents, model.config.patch_size)
    out_LP = model(patches_LP, layout, levels, model.encode_text(texts, pictures), fps)
    return unpack(out_LP, layout, model.config.out_channels, model.config.patch_size)


@pytest.mark.parametrize("form", FORMS)
def test_outputs_equal_those_of_diffusers(form: str, tmp_path: Path) -> None:
    theirs = published_dit(form)
    theirs.save_pretrained(tmp_path)
    latents, texts = inputs(form)
    times, pictures = torch.tensor([700.0, 133.0]), pictures_for(form, 2)
    extra: dict[str, Any] = {} if pictures is None else {"encoder_hidden_states_image": pictures}
    if form == "two images":  # diffusers takes pairs as neighbours in a batch
        extra = {"encoder_hidden_states_image": pictures_for(form, 2).reshape(4, 7, -1)}  # type: ignore[union-attr]
    if form == "skyreels with rate":
        extra = {"fps": [1, 1]}
    with torch.no_grad():
        want = theirs(torch.stack(latents), times, padded(texts), return_dict=False, **extra)[0]
    levels = times.repeat_interleave(3) / 1000
    got = torch.stack(velocities(load_dit(tmp_path), latents, levels, texts, pictures=pictures, fps=24))
    assert distance(got, want) < 1e-4


def test_levels_per_frame_and_the_slow_rate_equal_those_of_diffusers(tmp_path: Path) -> None:
    """Diffusion forcing as SkyReels-V2 has it, without the block-causal mask."""
    theirs = published_dit("skyreels with rate")
    theirs.save_pretrained(tmp_path)
    latents, texts = inputs("skyreels with rate")
    times_BF = torch.tensor([[0.0, 412.0, 999.0], [30.0, 31.0, 500.0]])
    extra: dict[str, Any] = {"fps": [0], "enable_diffusion_forcing": True, "return_dict": False}
    with torch.no_grad():  # diffusers' takes one clip at a time here
        want = [theirs(latents[i][None], times_BF[i : i + 1], padded(texts)[i : i + 1], **extra)[0][0] for i in (0, 1)]
    got = torch.stack(velocities(load_dit(tmp_path), latents, times_BF.flatten() / 1000, texts, fps=16))
    assert distance(got, torch.stack(want)) < 1e-4


def test_one_picture_stands_for_all_prompts() -> None:
    model = our_dit("image", dtype=torch.float64)
    latents, texts = inputs("image", torch.float64)
    picture, levels = pictures_for("image", 1, torch.float64), torch.full((6,), 0.5, dtype=torch.float64)
    assert picture is not None
    each = picture.expand(2, -1, -1)
    got, want = (velocities(model, latents, levels, texts, pictures=shown) for shown in (picture, each))
    assert distance(torch.stack(got), torch.stack(want)) < 1e-12
    other = velocities(model, latents, levels, texts, pictures=picture.flip(-1))
    assert distance(torch.stack(other), torch.stack(want)) > 1e-3


def test_times_per_token_equal_those_of_diffusers(tmp_path: Path) -> None:
    """The form of TI2V-5B: the tokens of the first frame are known, the others are to be made."""
    theirs = published_dit("wan2.1")
    theirs.save_pretrained(tmp_path)
    latents, texts = inputs("wan2.1")
    times_BL = torch.tensor([[0.0] * 6 + [812.0] * 12, [0.0] * 6 + [391.0] * 5 + [40.0] * 7])
    with torch.no_grad():
        want = theirs(torch.stack(latents), times_BL, padded(texts), return_dict=False)[0]
    got = torch.stack(velocities(load_dit(tmp_path), latents, times_BL.flatten() / 1000, texts))
    assert distance(got, want) < 1e-4


def test_bf16_stays_near_diffusers_in_float32(tmp_path: Path) -> None:
    theirs = published_dit("mini")
    theirs.save_pretrained(tmp_path)
    latents, texts = inputs("mini")
    with torch.no_grad():
        want = theirs(torch.stack(latents), torch.tensor([500.0, 500.0]), padded(texts), return_dict=False)[0]
    model = load_dit(tmp_path, dtype=torch.bfloat16)
    assert model.time_embedder.linear_1.weight.dtype == torch.float32
    assert model.proj_out.weight.dtype == torch.bfloat16
    got = torch.stack(velocities(model, latents, torch.full((6,), 0.5), texts))
    assert got.dtype == torch.float32 and psnr(got, want) > 35


@pytest.mark.parametrize("form", ["wan2.1", "image", "two images", "skyreels with rate"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_a_pack_equals_its_clips_one_by_one(form: str, dtype: torch.dtype, tolerance: float) -> None:
    model = our_dit(form, dtype=dtype)
    generator = torch.Generator().manual_seed(3)
    shapes = [(3, 4, 6), (3, 4, 6), (1, 4, 6), (1, 8, 2), (2, 2, 2), (3, 4, 6)]
    channels, pictures = FORMS[form]["in_channels"], pictures_for(form, len(shapes), dtype)
    latents = [torch.randn(channels, *shape, generator=generator, dtype=dtype) for shape in shapes]
    texts = [torch.randn(n, 40, generator=generator, dtype=dtype) for n in (4, 0, 512, 3, 3, 7)]
    levels = torch.rand(sum(shape[0] for shape in shapes), generator=generator, dtype=dtype)
    packed = velocities(model, latents, levels, texts, pictures=pictures, fps=16)
    by_clip = levels.split([shape[0] for shape in shapes])
    for i, got in enumerate(packed):
        own = None if pictures is None else pictures[i : i + 1]
        alone = velocities(model, [latents[i]], by_clip[i], [texts[i]], pictures=own, fps=16)[0]
        assert distance(got, alone) < tolerance


@torch.no_grad()
def test_levels_per_frame_equal_the_same_levels_per_token() -> None:
    model = our_dit("mini", dtype=torch.float64)
    latents, texts = inputs("mini", torch.float64)
    patches_LP, layout = pack([*latents, latents[0][:, :1]], (1, 1, 1))
    levels_F = torch.tensor([0.0, 0.3, 1.0, 0.3, 0.3, 0.9, 0.5], dtype=torch.float64)
    text = model.encode_text(texts).select((1, 0, 1))
    by_frame = model(patches_LP, layout, levels_F, text)
    by_token = model(patches_LP, layout, levels_F.repeat_interleave(24), text)
    assert distance(by_token, by_frame) < 1e-12


@torch.no_grad()
def test_the_collapsed_padding_equals_all_the_padding() -> None:
    model = our_dit("mini", dtype=torch.float64)
    latents, texts = inputs("mini", torch.float64)
    levels = torch.full((6,), 0.7, dtype=torch.float64)
    got = velocities(model, latents, levels, texts)
    whole = velocities(model, latents, levels, list(padded(texts)))
    assert distance(torch.stack(got), torch.stack(whole)) < 1e-9


@pytest.mark.parametrize("mode", ["bf16 weights", "autocast"])
def test_gradients_reach_every_weight_and_are_near_those_of_float32(mode: str) -> None:
    latents, texts = inputs("mini")
    patches_LP, layout = pack(latents, (1, 1, 1))
    levels = torch.tensor([0.0, 0.5, 0.5, 0.2, 0.9, 1.0])

    def gradients(model: WanDiT, *, cast: bool) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            out_LP = model(patches_LP, layout, levels, model.encode_text(texts))
        (out_LP.float() - patches_LP).square().mean().backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    want = gradients(our_dit("mini"), cast=False)
    short = our_dit("mini", dtype=torch.bfloat16 if mode == "bf16 weights" else torch.float32)
    got = gradients(short, cast=mode == "autocast")
    assert want.keys() == got.keys() == dict(short.named_parameters()).keys()
    for name, grad in want.items():
        assert (got[name] - grad).norm() < 0.1 * grad.norm() + 1e-6, name


@torch.no_grad()
def test_blocks_start_as_the_identity_and_equal_seeds_give_equal_weights() -> None:
    models = [WanDiT(DiTConfig(**FORMS["mini"])) for _ in range(2)]
    for model in models:
        model.init_weights(torch.Generator().manual_seed(4))
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b) and bool(a.isfinite().all())
    latents, texts = inputs("mini")
    assert all(not v.any() for v in velocities(models[0], latents, torch.full((6,), 0.5), texts))
    seen: list[Tensor] = []
    models[0].norm_out.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    velocities(models[0], latents, torch.full((6,), 0.5), texts)
    assert torch.equal(seen[0], models[0].patch_embedding(pack(latents, (1, 1, 1))[0]))


def test_a_first_step_of_training_lowers_the_loss() -> None:
    model = WanDiT(DiTConfig(**FORMS["mini"]))
    model.init_weights(torch.Generator().manual_seed(4))
    latents, texts = inputs("mini")
    patches_LP, layout = pack(latents, (1, 1, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        out_LP = model(patches_LP, layout, torch.full((6,), 0.5), model.encode_text(texts))
        loss = (out_LP - patches_LP).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_one_prompt_for_each_clip_is_asked_for() -> None:
    model = our_dit("mini")
    latents, texts = inputs("mini")
    with pytest.raises(AssertionError, match="one prompt for each clip"):
        velocities(model, latents, torch.zeros(6), texts[:1])


def test_the_exact_gelu_of_bf16_is_as_near_as_bf16_can_be() -> None:
    x = torch.randn(20000, dtype=torch.float64) * 2
    want = torch.nn.functional.gelu(x, approximate="tanh")
    assert torch.equal(gelu(x), want)
    short = x.bfloat16()
    exact = torch.nn.functional.gelu(short.double(), approximate="tanh")
    rounding = (exact.bfloat16().double() - exact).norm()
    assert (gelu(short).double() - exact).norm() < 1.1 * rounding


def test_joined_runs_share_a_span() -> None:
    from hibari.model.modulation import lay_levels

    _, layout = pack(
        [torch.zeros(1, t, 2, 3) for t in (2, 2, 1)] + [torch.zeros(1, 1, 1, 6), torch.zeros(1, 1, 1, 5)], (1, 1, 1)
    )
    assert isinstance(layout, PackLayout)
    assert lay_levels(torch.zeros(7), layout)[1].spans == ((6, 36), (1, 5))
