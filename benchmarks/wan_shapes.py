"""Wan's published sizes at 480p beside diffusers on the same random weights: time, agreement and peak memory.

    python benchmarks/wan_shapes.py [--form 1.3b|5b] [--layers 3] [--frames 5] [--runs 3] [--device cuda]
    python benchmarks/wan_shapes.py --form 1.3b --parts decode --frames 81 --runs 0 --at-once 1 --tile 256 --by-tile

Transformers and VAEs have their published sizes, the transformer fewer layers (0: all of them); weights are drawn,
saved by diffusers and read by both. Text states come from a file. One process, same threads, steps, solver, dtype
and noise; warm runs take turns. On a machine that others use too, processor time says more. Peak memory is that of a
process of its own for each side and part (--runs 0: that alone). Needs `diffusers`.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accounts
import torch
from torch import Tensor

SIZE = (480, 832)
TEXT_LENGTHS = (60, 100)  # tokens of the prompt and of the negative prompt, as published defaults have them
GUIDANCE, SHIFT, SEED = 5.0, 5.0, 1
PARTS = ("step", "encode", "decode", "end to end")
LEAST_DB = 35.0

TRANSFORMER: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "attention_head_dim": 128,
    "text_dim": 4096,
    "freq_dim": 256,
    "cross_attn_norm": True,
    "rope_max_seq_len": 1024,
}
FORMS: dict[str, dict[str, Any]] = {
    "1.3b": {
        "transformer": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "in_channels": 16},
        "vae": {},
    },
    "5b": {
        "transformer": {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48},
        "vae": {
            "base_dim": 160,
            "decoder_base_dim": 256,
            "z_dim": 48,
            "dim_mult": [1, 2, 4, 4],
            "num_res_blocks": 2,
            "temperal_downsample": [False, True, True],
            "latents_mean": [0.0] * 48,
            "latents_std": [1.0] * 48,
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_temporal": 4,
            "scale_factor_spatial": 16,
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured: a folder of weights, and how much of what to do with them."""

    folder: Path
    frames: int
    steps: int
    dtype: torch.dtype
    device: torch.device
    compiled: bool
    at_once: int = 2
    tile: int = 0
    by_tile: bool = False

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        config = json.loads((self.folder / "vae" / "config.json").read_text())
        space, channels = config["scale_factor_spatial"], config["z_dim"]
        return (channels, (self.frames - 1) // 4 + 1, SIZE[0] // space, SIZE[1] // space)

    def noise(self, shape: tuple[int, ...], seed: int) -> Tensor:
        """Equal numbers for both sides, float32."""
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.device)

    def video(self) -> Tensor:
        """A clip in [-1, 1], smooth in space as pictures are: (1, 3, frames, height, width)."""
        coarse = self.noise((1, 3, self.frames, SIZE[0] // 16, SIZE[1] // 16), SEED + 1)
        whole = torch.nn.functional.interpolate(coarse, size=(self.frames, *SIZE), mode="trilinear")
        return whole.clamp(-1, 1).to(self.dtype)

    def texts(self) -> list[Tensor]:
        """The states of the prompt and of the negative prompt, from their file: (tokens, 4096) each."""
        from safetensors.torch import load_file

        states = load_file(self.folder / "states.safetensors")
        return [states[name].to(self.device) for name in ("prompt", "negative")]


Part = Callable[[], Tensor]


def build(form: str, layers: int, folder: Path) -> None:
    """Write a folder with random weights, unless it is there; gates and pictures get a size that makes parts count."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel
    from safetensors.torch import save_file

    if (folder / "states.safetensors").is_file():
        return
    torch.manual_seed(SEED)
    sizes = TRANSFORMER | FORMS[form]["transformer"]
    sizes |= {"out_channels": sizes["in_channels"], "num_layers": layers or sizes["num_layers"]}
    transformer: Any = WanTransformer3DModel(**sizes)
    transformer.condition_embedder.time_proj.weight.data.mul_(4)
    transformer.to(torch.bfloat16).save_pretrained(folder / "transformer")
    del transformer
    vae: Any = AutoencoderKLWan(**FORMS[form]["vae"])
    with torch.no_grad():
        made = vae.decode(torch.randn(1, vae.config.z_dim, 1, 8, 8)).sample
        vae.decoder.conv_out.weight.mul_(0.4 / made.std())
    vae.save_pretrained(folder / "vae")
    states = {name: torch.randn(n, 4096) for name, n in zip(("prompt", "negative"), TEXT_LENGTHS, strict=True)}
    save_file(states, folder / "states.safetensors")


def ours(case: Case, parts: tuple[str, ...]) -> dict[str, Part]:
    """Hibari's side of the parts."""
    from hibari.flow.guidance import guide
    from hibari.flow.solver import SOLVERS
    from hibari.flow.times import NUM_TIMESTEPS, schedule, timestep_of
    from hibari.model.packing import pack, unpack
    from hibari.model.tiling import decode_pieces
    from hibari.model.vae_layers import StreamState
    from hibari.model.weights import load_dit, load_vae

    vae = load_vae(case.folder / "vae", case.device, case.dtype)
    noise = case.noise(case.latent_shape, SEED)
    need_dit = "step" in parts or "end to end" in parts
    dit = load_dit(case.folder / "transformer", case.device, case.dtype) if need_dit else None
    if dit is not None and case.compiled:
        from hibari.model.compiled import compile_blocks

        compile_blocks(dit, case.device)

    def pair(keys: Any, x_CTHW: Tensor, level: float) -> Tensor:
        assert dit is not None
        patches_LP, layout = pack([x_CTHW] * 2, dit.config.patch_size)
        levels = torch.full((layout.num_frames,), level, device=case.device)
        cond, uncond = unpack(dit(patches_LP, layout, levels, keys), layout, len(x_CTHW), dit.config.patch_size)
        return guide(cond, uncond, GUIDANCE)

    def keys_now() -> Any:
        assert dit is not None
        return dit.encode_text(case.texts())

    def decode(latent_CTHW: Tensor) -> Tensor:
        pieces = vae.denormalise(latent_CTHW[None]).to(case.dtype).split(case.at_once, dim=2)
        frames = []
        for video_BCTHW in decode_pieces(vae, pieces, case.tile or None, case.by_tile):
            frames.append(
                ((video_BCTHW[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).cpu()
            )
        return torch.cat(frames)

    def encode() -> Tensor:
        state, latents = StreamState(), []
        for piece in case.video().split([1] + [4] * ((case.frames - 1) // 4), dim=2):
            latents.append(vae.encode_chunk(piece, state)[0])
        return vae.normalise(torch.cat(latents, dim=2).float())[0]

    def whole() -> Tensor:
        keys = keys_now()
        sigmas = schedule(case.steps, SHIFT)
        latent = SOLVERS["unipc"](lambda x, s: pair(keys, x, timestep_of(s) / NUM_TIMESTEPS), noise, sigmas)
        return decode(latent)

    keys = keys_now() if "step" in parts else None
    made: dict[str, Part] = {
        "step": lambda: pair(keys, noise, 0.9),
        "encode": encode,
        "decode": lambda: decode(noise),
        "end to end": whole,
    }
    return {part: torch.inference_mode()(made[part]) for part in parts}


def theirs(case: Case, parts: tuple[str, ...]) -> dict[str, Part]:
    """diffusers' side of the parts."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
    from diffusers.utils import logging

    logging.set_verbosity_error()
    vae = AutoencoderKLWan.from_pretrained(case.folder / "vae", torch_dtype=case.dtype).to(case.device)
    need_dit = "step" in parts or "end to end" in parts
    dit = None
    if need_dit:
        dit = WanTransformer3DModel.from_pretrained(case.folder / "transformer", torch_dtype=case.dtype)
        dit = dit.to(case.device)
        if case.compiled:
            dit.compile_repeated_blocks()
    noise = case.noise((1, *case.latent_shape), SEED)
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=SHIFT
    )
    pipeline: Any = WanPipeline(
        tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, transformer=dit,
        expand_timesteps=vae.config.patch_size is not None,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)

    def padded() -> tuple[Tensor, Tensor]:
        cond, uncond = (torch.nn.functional.pad(each, (0, 0, 0, 512 - len(each)))[None] for each in case.texts())
        return cond.to(case.dtype), uncond.to(case.dtype)

    def pair() -> Tensor:
        assert dit is not None
        t = torch.tensor([900.0], device=case.device)
        cond, uncond = (dit(noise.to(case.dtype), t, text, return_dict=False)[0].float() for text in padded())
        return (uncond + GUIDANCE * (cond - uncond))[0]

    def decode() -> Tensor:
        mean, std = (
            torch.tensor(each).view(1, -1, 1, 1, 1) for each in (vae.config.latents_mean, vae.config.latents_std)
        )
        latent = (noise * std.to(noise) + mean.to(noise)).to(case.dtype)
        video = vae.decode(latent, return_dict=False)[0].float()
        return as_bytes((video[0].permute(1, 2, 3, 0) / 2 + 0.5).clamp(0, 1)).cpu()

    def encode() -> Tensor:
        mean, std = (
            torch.tensor(each).view(1, -1, 1, 1, 1) for each in (vae.config.latents_mean, vae.config.latents_std)
        )
        found = vae.encode(case.video()).latent_dist.mean.float()
        return ((found - mean.to(found)) / std.to(found))[0]

    def whole() -> Tensor:
        cond, uncond = padded()
        frames = pipeline(
            prompt_embeds=cond, negative_prompt_embeds=uncond, height=SIZE[0], width=SIZE[1], num_frames=case.frames,
            num_inference_steps=case.steps, guidance_scale=GUIDANCE, latents=noise, output_type="pt",
        ).frames  # fmt: skip
        return as_bytes(frames[0].float().permute(0, 2, 3, 1)).cpu()

    made: dict[str, Part] = {"step": pair, "encode": encode, "decode": decode, "end to end": whole}
    return {part: torch.no_grad()(made[part]) for part in parts}


SIDES = {"hibari": ours, "diffusers": theirs}


def as_bytes(frames: Tensor) -> Tensor:
    return (frames * 255).round().to(torch.uint8)


def agreement(got: Tensor, want: Tensor) -> float:
    """Peak signal-to-noise ratio in dB; the peak is 255 for frames, else the largest distance from the mean."""
    frames = want.dtype == torch.uint8
    got, want = got.double().cpu(), want.double().cpu()
    peak = 255.0 if frames else float((want - want.mean()).abs().max())
    return float(20 * torch.log10(peak / (got - want).square().mean().sqrt().clamp_min(1e-9)))


def timed(part: Part, device: torch.device) -> tuple[tuple[float, float], Tensor]:
    """Seconds, seconds of processor time, and outcome of one call."""
    start = time.perf_counter(), time.process_time()
    made = part()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start[0], time.process_time() - start[1]), made


def alone(case: Case, side: str, part: str) -> dict[str, float]:
    """Run one part once in this process: MB held before it, and at its peak, of the device's memory on a GPU."""
    call = SIDES[side](case, (part,))[part]
    before = held_megabytes(case.device)
    spent, _ = timed(call, case.device)
    return {"before": before, "peak": held_megabytes(case.device), "took": spent[0]}


def held_megabytes(device: torch.device) -> float:
    """The most memory that this process has held so far.

    Linux hands on the peak of the process that started this one as `ru_maxrss`, so its own is read where it stands.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.is_file():
        (own,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return float(own.split()[1]) * 1024 / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6


def memory_of(side: str, part: str) -> dict[str, float]:
    """What `alone` finds in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", side, "--parts", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(case: Case, given: argparse.Namespace) -> None:
    """Warm runs in turns, then peak memory, then the report."""
    rows: list[list[Any]] = []
    spent: dict[str, dict[str, list[tuple[float, float]]]] = {}
    likeness: list[float] = []
    if given.runs:
        sides = {side: load(case, given.parts) for side, load in SIDES.items()}
        for part in given.parts:
            made = {side: timed(calls[part], case.device)[1] for side, calls in sides.items()}  # the first warms up
            spent[part] = {side: [] for side in sides}
            for _ in range(given.runs):
                for side, calls in sides.items():
                    spent[part][side].append(timed(calls[part], case.device)[0])
            alike = agreement(made["hibari"], made["diffusers"])
            likeness.append(alike)
            for clock, what in enumerate(("s", "processor s")):
                us, them = (min(each[clock] for each in spent[part][side]) for side in SIDES)
                rows.append([f"{part}, {what}", us, them, us / them, alike])
                print(*rows[-1], file=sys.stderr, flush=True)
        del sides
    for part in given.memory:
        found = [memory_of(side, part) for side in SIDES]
        peaks = [each["peak"] for each in found]
        rows.append([f"{part}, peak MB", *peaks, peaks[0] / peaks[1], None])
        above = [each["peak"] - each["before"] for each in found]
        rows.append([f"{part}, peak above what was held before, MB", *above, above[0] / above[1], None])
    facts = {
        "form": given.form, "layers": given.layers, "frames": case.frames, "steps": case.steps,
        "size": f"{SIZE[1]}x{SIZE[0]}", "dtype": given.dtype, "device": str(case.device), "compiled": case.compiled,
        "at once": case.at_once, "tile": case.tile, "by tile": case.by_tile,
        "all runs, s": spent,
    }  # fmt: skip
    name = f"wan_shapes_{given.form}_{case.device.type}_{given.layers}x{case.frames}"
    name += "_compiled" if case.compiled else ""
    accounts.report(given.out / f"{name}.json", ("", "hibari", "diffusers", "ratio", "agreement, dB"), rows, facts)
    if likeness and min(likeness) < LEAST_DB:
        sys.exit(f"{min(likeness):.1f} dB: these are not the same numbers, {LEAST_DB:g} dB are asked for.")


def main() -> None:
    """Compare both, or with --only run one part of one side, once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--form", choices=tuple(FORMS), default="1.3b")
    parser.add_argument("--layers", type=int, default=3, help="0: all")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3, help="0: peak memory alone")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--memory", nargs="*", choices=PARTS, help="parts whose peak memory is taken; all --parts")
    parser.add_argument("--at-once", type=int, default=2, help="latent frames that Hibari decodes at once")
    parser.add_argument(
        "--tile", type=int, default=0, help="pixels of the tiles that Hibari decodes by; 0: whole frames"
    )
    parser.add_argument("--by-tile", action="store_true", help="each tile goes through the whole clip, then the next")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="both transformers' blocks go through torch.compile")
    parser.add_argument("--weights", type=Path, default=accounts.RESULTS / "weights", help="where weights are kept")
    parser.add_argument("--out", type=Path, default=accounts.RESULTS)
    parser.add_argument("--only", choices=tuple(SIDES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.parts = tuple(given.parts)
    given.memory = given.parts if given.memory is None else tuple(given.memory)
    case = Case(
        folder=given.weights / f"{given.form}_{given.layers}", frames=given.frames, steps=given.steps,
        dtype=getattr(torch, given.dtype), device=torch.device(given.device), compiled=given.compile,
        at_once=given.at_once, tile=given.tile, by_tile=given.by_tile,
    )  # fmt: skip
    build(given.form, given.layers, case.folder)
    if given.only:
        print(json.dumps(alone(case, given.only, given.parts[0])))
    else:
        compare(case, given)


if __name__ == "__main__":
    main()
