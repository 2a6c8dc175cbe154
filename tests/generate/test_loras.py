"""LoRA files on a tiny Wan: the latents of diffusers with PEFT, and the bare model back, bit for bit. About 15 seconds.

What PEFT cannot hold (differences of norms and modulations) is compared with the same model with changed weights.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from hibari.catalog import Lora, find_loras, open_folder
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.generate.backend import Prompt
from hibari.generate.fit import Fit
from hibari.generate.generator import Generator
from hibari.generate.loras import laid_on
from hibari.generate.plan import Plan
from hibari.model.dit import WanDiT
from hibari.model.packing import pack
from hibari.model.weights import load_dit
from hibari.request import LoraUse, Size
from hibari.shapes import VideoShape
from hibari.wan_keys import original_name
from tiny_pipeline import build_tiny_pipeline
from tiny_wan import IMAGE_DIM, STATES, build_tiny_wan

PROMPT, NEGATIVE = "a red ball rolls to the left over a meadow", "blurred"
KINDS = {"weight": "diff", "bias": "diff_b"}
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "net.2", "time_proj", "proj_out", "linear_1", "linear_2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return Generator.load(open_folder(folder), torch.device("cpu"), torch.float32)


@pytest.fixture
def pipeline(folder: Path) -> Any:
    opened = WanPipeline.from_pretrained(folder)
    opened.set_progress_bar_config(disable=True)
    return opened


NOISE = torch.randn(1, 48, 2, 4, 6, generator=torch.Generator().manual_seed(11))


def ours(generator: Generator, *uses: LoraUse, steps: int = 3, guidance: float = 3.0) -> Tensor:
    plan = Plan(
        seed=0,
        delivered=Size(96, 64),
        render=VideoShape(5, 64, 96),
        fps=12,
        picks=tuple(range(5)),
        steps=steps,
        guidance=guidance,
        solver="unipc",
        flow_shift=generator.model.flow_shift,
        loras=laid(generator, *uses),
    )
    return generator.make_latent(plan, Prompt(PROMPT, NEGATIVE), noise_CTHW=NOISE[0])


def laid(generator: Generator, *uses: LoraUse) -> tuple[Lora, ...]:
    return find_loras(uses, generator.model, Settings(home=Path("/nowhere")))


def theirs(pipeline: Any) -> Tensor:
    latents: Tensor = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        height=64,
        width=96,
        num_frames=5,
        num_inference_steps=3,
        guidance_scale=3.0,
        latents=NOISE,
        output_type="latent",
    ).frames[0]
    return latents


def published_file(pipeline: Any, path: Path, *, seed: int, rank: int, alpha: int) -> Path:
    """A file of diffusers' own writing, for every layer that PEFT takes, with its metadata."""
    config = LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights=False, target_modules=TARGETS)
    transformer = pipeline.transformer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer.add_adapter(config, "made")
        layers = get_peft_model_state_dict(transformer, adapter_name="made")
        layers = {key: torch.randn_like(tensor) * 0.1 for key, tensor in layers.items()}
    facts = config.to_dict()
    WanPipeline.save_lora_weights(
        path.parent, layers, weight_name=path.name, transformer_lora_adapter_metadata=_plain(facts)
    )
    transformer.delete_adapters("made")
    return path


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration JSON can hold."""
    return {
        key: sorted(value) if isinstance(value, set) else value
        for key, value in facts.items()
        if key != "runtime_config"
    }


def original_file(published: Path, path: Path, *, alpha: float) -> Path:
    """The same tensors under the names of the original checkpoints, with an alpha for each layer."""
    tensors = {}
    for key, tensor in load_file(published).items():
        layer, side = key.removeprefix("transformer.").removesuffix(".weight").rsplit(".", 1)
        named = f"diffusion_model.{original_name(layer)}"
        tensors[f"{named}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = tensor
        if "blocks" in key:  # diffusers reads an alpha of these alone
            tensors[f"{named}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return path


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4 * theirs.abs().max().item(), rtol=0)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_both_forms_alone_and_together_give_the_latents_of_diffusers(
    pipeline: Any, generator: Generator, tmp_path: Path
) -> None:
    bare = ours(generator)
    same(bare, theirs(pipeline))
    first = published_file(pipeline, tmp_path / "first.safetensors", seed=1, rank=3, alpha=5)
    second = original_file(
        published_file(pipeline, tmp_path / "plain.safetensors", seed=2, rank=4, alpha=4),
        tmp_path / "second.safetensors",
        alpha=2.0,
    )
    pipeline.load_lora_weights(first, adapter_name="first")
    pipeline.load_lora_weights(second, adapter_name="second")
    for names, weights in ((["first"], [1.0]), (["second"], [0.7]), (["first", "second"], [0.6, -0.4])):
        pipeline.set_adapters(names, adapter_weights=weights)
        files = [{"first": first, "second": second}[name] for name in names]
        made = ours(generator, *(LoraUse(str(file), weight) for file, weight in zip(files, weights, strict=True)))
        same(made, theirs(pipeline))
        assert (made - bare).abs().max() > 0.05 * bare.abs().max(), "they change what is made"
    assert torch.equal(ours(generator), bare), "nothing of them stays"


def test_a_file_of_kohyas_names_gives_the_latents_of_diffusers(
    pipeline: Any, generator: Generator, tmp_path: Path
) -> None:
    plain = published_file(pipeline, tmp_path / "plain.safetensors", seed=3, rank=2, alpha=2)
    tensors = {}
    for key, tensor in load_file(plain).items():
        layer, side = key.removeprefix("transformer.").removesuffix(".weight").rsplit(".", 1)
        if layer.startswith("blocks"):
            named = f"lora_unet_{str(original_name(layer)).replace('.', '_')}"
            tensors[f"{named}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = tensor
            tensors[f"{named}.alpha"] = torch.tensor(1.0)
    save_file(tensors, tmp_path / "kohya.safetensors")
    pipeline.load_lora_weights(tmp_path / "kohya.safetensors", adapter_name="kohya")
    same(ours(generator, LoraUse(str(tmp_path / "kohya.safetensors"))), theirs(pipeline))


def test_differences_are_those_of_a_model_with_these_weights(
    pipeline: Any, generator: Generator, tmp_path: Path
) -> None:
    """Weights, biases, norms, modulations and the patches' kernel, as distilled files have them."""
    tensors: dict[str, Tensor] = {}
    state = pipeline.transformer.state_dict()
    for key, tensor in list(state.items()):
        layer, leaf = (key, "") if key.endswith("scale_shift_table") else key.rsplit(".", 1)
        named = f"diffusion_model.{original_name(layer)}"
        named = (
            f"{named}.{({'weight': 'diff', 'bias': 'diff_b'})[leaf]}" if leaf else named.replace("modulation", "diff_m")
        )
        tensors[named] = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(len(tensors))) * 0.02
        state[key] = tensor + 0.5 * tensors[named]
    save_file(tensors, tmp_path / "full.safetensors")
    pipeline.transformer.load_state_dict(state)
    same(ours(generator, LoraUse(str(tmp_path / "full.safetensors"), 0.5)), theirs(pipeline))


@pytest.mark.parametrize("form", ["skyreels df", "wan2.1 flf2v"])
def test_every_parameter_of_other_forms_takes_its_difference(form: str, tmp_path: Path) -> None:
    """The rate's embedding and the pictures' part too: as with the changed weights themselves."""
    folder = build_tiny_wan(tmp_path / "model", form)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    state, tensors = load_file(weights), {}
    for key, tensor in state.items():
        layer, leaf = key.rsplit(".", 1) if key.endswith((".weight", ".bias")) else (key, "weight")
        named = f"diffusion_model.{original_name(layer)}.{KINDS[leaf]}".replace("modulation.diff", "diff_m")
        tensors[named] = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(len(tensors))) * 0.02
        state[key] = tensor + 0.5 * tensors[named]
    if "fps_embedding.weight" in state:
        pair = torch.full((2, 1), 0.3), torch.full((1, 56), 0.2)
        tensors |= {f"diffusion_model.fps_embedding.lora_{side}.weight": x for side, x in zip("BA", pair, strict=True)}
        state["fps_embedding.weight"] += 0.5 * pair[0] @ pair[1]
    save_file(tensors, tmp_path / "full.safetensors")
    (lora,) = find_loras(
        [LoraUse(str(tmp_path / "full.safetensors"), 0.5)], open_folder(folder), Settings(home=tmp_path)
    )
    bare = load_dit(folder / "transformer", torch.device("cpu"), torch.float32)
    save_file(state, weights)
    changed = load_dit(folder / "transformer", torch.device("cpu"), torch.float32)

    rng = torch.Generator().manual_seed(1)
    patches_LP, layout = pack([torch.randn(bare.config.in_channels, 2, 4, 4, generator=rng)], bare.config.patch_size)
    text = torch.randn(4, bare.config.text_dim, generator=rng)
    pictures = torch.randn(1, 2 * STATES, IMAGE_DIM, generator=rng) if bare.config.image_dim else None

    def told(model: WanDiT) -> Tensor:
        with torch.inference_mode():
            return model(patches_LP, layout, torch.full((2,), 0.5), model.encode_text([text], pictures), 24)

    alone = told(bare)
    with laid_on(bare, [lora]):
        same(told(bare), told(changed))
    assert torch.equal(told(bare), alone) and not torch.equal(alone, told(changed))


def test_the_model_is_itself_again_after_a_walk_that_fails(generator: Generator, tmp_path: Path) -> None:
    weights = {
        name: (parameter, parameter.clone()) for name, parameter in generator.parts.experts[0]().named_parameters()
    }
    save_file(
        {
            "diffusion_model.blocks.0.self_attn.norm_q.diff": torch.ones(256),
            "diffusion_model.blocks.1.ffn.0.lora_down.weight": torch.ones(2, 256),
            "diffusion_model.blocks.1.ffn.0.lora_up.weight": torch.ones(320, 2),
        },
        tmp_path / "a.safetensors",
    )
    (lora,) = laid(generator, LoraUse(str(tmp_path / "a.safetensors")))
    layer = generator.parts.experts[0]().get_submodule("blocks.1.ffn_in")
    with pytest.raises(RuntimeError), laid_on(generator.parts.experts[0](), [lora]):
        assert layer._forward_hooks
        raise RuntimeError
    assert not layer._forward_hooks
    assert all(parameter is weights[name][0] for name, parameter in generator.parts.experts[0]().named_parameters())
    assert all(torch.equal(parameter, was) for parameter, was in weights.values())


def test_a_file_that_went_is_said(generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"diffusion_model.blocks.0.self_attn.norm_q.diff": torch.ones(256)}, path)
    (lora,) = laid(generator, LoraUse(str(path)))
    with (
        pytest.raises(InvalidRequest, match="cannot be read"),
        laid_on(generator.parts.experts[0](), [replace(lora, path=tmp_path)]),
    ):
        pass


def test_few_steps_without_guidance_just_work(generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "fast.safetensors"
    save_file({"diffusion_model.blocks.0.self_attn.q.diff_b": torch.ones(256)}, path)
    made = ours(generator, LoraUse(str(path)), steps=4, guidance=1.0)
    assert made.isfinite().all() and not torch.equal(made, ours(generator, steps=4, guidance=1.0))


def test_each_expert_has_the_loras_that_are_for_it(tmp_path: Path) -> None:
    """High and low files, as distilled ones come for Wan 2.2, against both transformers of diffusers' pipeline."""
    model = open_folder(build_tiny_wan(tmp_path / "two", "wan2.2 t2v"))
    files, rng = {}, torch.Generator().manual_seed(5)
    for name in ("high", "low"):
        layer = "blocks.1.attn1.to_v"
        pair = {"lora_A": torch.randn(3, 56, generator=rng), "lora_B": torch.randn(56, 3, generator=rng)}
        files[name] = tmp_path / f"{name}.safetensors"
        save_file({f"transformer.{layer}.{side}.weight": tensor for side, tensor in pair.items()}, files[name])
    pipeline = WanPipeline.from_pretrained(model.folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(files["high"], adapter_name="high")
    pipeline.load_lora_weights(files["low"], adapter_name="low", load_into_transformer_2=True)
    noise = torch.randn(1, 16, 3, 8, 12, generator=rng)
    want = pipeline(
        PROMPT,
        height=64,
        width=96,
        num_frames=9,
        num_inference_steps=5,
        guidance_scale=1.0,
        latents=noise,
        output_type="latent",
    ).frames[0]
    plan = Plan(
        seed=0,
        delivered=Size(96, 64),
        render=VideoShape(9, 64, 96),
        fps=16,
        picks=tuple(range(9)),
        steps=5,
        guidance=1.0,
        solver="unipc",
    )
    two = Generator.load(model, torch.device("cpu"), torch.float32)
    made = []
    for uses in ((("high", "high"), ("low", "low")), (("high", "low"), ("low", "high")), (("high", ""),)):
        loras = find_loras([LoraUse(str(files[n]), 1.0, at) for n, at in uses], model, Settings(home=tmp_path))
        made.append(two.make_latent(replace(plan, loras=loras), Prompt(PROMPT), noise_CTHW=noise[0]))
    same(made[0], want)
    assert not torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


@pytest.mark.parametrize("fit", [Fit(storage="int8"), Fit(offload="cpu"), Fit(offload="disk")], ids=str)
def test_weights_that_are_stored_otherwise_take_them_too(
    generator: Generator, folder: Path, tmp_path: Path, fit: Fit
) -> None:
    save_file(
        {
            "diffusion_model.blocks.1.ffn.0.lora_down.weight": torch.full((2, 256), 0.1),
            "diffusion_model.blocks.1.ffn.0.lora_up.weight": torch.full((320, 2), 0.1),
            "diffusion_model.blocks.1.self_attn.q.diff_b": torch.ones(256),
            "diffusion_model.blocks.0.norm3.diff": torch.ones(256),
        },
        tmp_path / "a.safetensors",
    )
    use = LoraUse(str(tmp_path / "a.safetensors"))
    other = Generator.load(open_folder(folder), torch.device("cpu"), torch.float32, fit)
    bare, made = ours(other), ours(other, use)
    change, wanted = made - bare, ours(generator, use) - ours(generator)
    assert (change - wanted).square().mean() < 0.01 * wanted.square().mean()
    assert torch.equal(ours(other), bare)
