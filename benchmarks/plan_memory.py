"""Foreseen against measured peak memory of whole generations on a processor: 20 cases, each in a process of its own.

    python benchmarks/plan_memory.py [--only NAME] [--runs 3] [--work FOLDER]
    python benchmarks/plan_memory.py --encode     # six clips that are encoded, whole and by tiles

Random weights in the forms of Wan 2.1 and 2.2, from tiny to middling, and hibari-mini at several sizes and lengths,
with and without tiles, bytes for weights, and offload. Memory is what must be there: the most anonymous memory that a
process held, asked of the system every few milliseconds by the parent; the median of some runs, which differ by some
per cent, by where pieces come to lie in the heap. Two steps of each walk are enough: all alike.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import accounts

PROMPT = "a lighthouse in a storm"
ALLOWED = 0.15
POLL_S = 0.01

WAN_21: dict[str, Any] = {"base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2}
WAN_22: dict[str, Any] = {
    "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2,
    "is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Form:
    """A model to build: a transformer's width in heads of 128, and a share of the published VAE's width."""

    name: str
    vae: str
    heads: int
    ffn: int
    layers: int
    narrow: int = 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """A generation: a form (None: hibari-mini), the size and the frames that are rendered, and how."""

    form: Form | None
    width: int
    height: int
    frames: int
    dtype: str = "bfloat16"
    guidance: float = 5.0
    fit: tuple[tuple[str, Any], ...] = ()
    encodes: bool = False  # a clip, and makes nothing of it

    @property
    def name(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.fit)
        form = self.form.name if self.form else "hibari-mini"
        what = "encoded" if self.encodes else f"g{self.guidance:g}"
        return f"{form} {self.width}x{self.height}x{self.frames} {self.dtype} {what} {said}".strip()


TINY_21 = Form(name="wan2.1-tiny", vae="2.1", heads=4, ffn=1280, layers=4, narrow=2)
SMALL_21 = Form(name="wan2.1-small", vae="2.1", heads=8, ffn=5632, layers=8, narrow=2)
MIDDLE_21 = Form(name="wan2.1-middle", vae="2.1", heads=12, ffn=8960, layers=10)
TINY_22 = Form(name="wan2.2-tiny", vae="2.2", heads=4, ffn=1280, layers=4, narrow=8)
SMALL_22 = Form(name="wan2.2-small", vae="2.2", heads=8, ffn=4096, layers=8, narrow=4)
MIDDLE_22 = Form(name="wan2.2-middle", vae="2.2", heads=24, ffn=14336, layers=4, narrow=2)
CASES = [
    Case(form=None, width=192, height=112, frames=25),
    Case(form=None, width=192, height=112, frames=73),
    Case(form=None, width=384, height=224, frames=49),
    Case(form=None, width=192, height=112, frames=25, dtype="float32"),
    Case(form=None, width=768, height=448, frames=13),
    Case(form=TINY_21, width=256, height=256, frames=13),
    Case(form=TINY_21, width=416, height=240, frames=13, guidance=1.0),
    Case(form=TINY_21, width=256, height=160, frames=13, dtype="float32"),
    Case(form=TINY_21, width=640, height=384, frames=9, fit=(("tile", 256), ("frames", 1))),
    Case(form=SMALL_21, width=416, height=240, frames=13),
    Case(form=SMALL_21, width=256, height=160, frames=33, fit=(("storage", "int8"),)),
    Case(form=SMALL_21, width=256, height=160, frames=13, fit=(("offload", "disk"), ("frames", 1))),
    Case(form=MIDDLE_21, width=256, height=160, frames=13),
    Case(form=MIDDLE_21, width=320, height=192, frames=9, fit=(("tile", 128), ("frames", 1))),
    Case(form=MIDDLE_21, width=256, height=160, frames=9, fit=(("offload", "disk"), ("tile", 128))),
    Case(form=TINY_22, width=512, height=512, frames=13),
    Case(form=SMALL_22, width=384, height=256, frames=13),
    Case(form=SMALL_22, width=384, height=256, frames=13, dtype="float32", fit=(("offload", "parts"),)),
    Case(form=MIDDLE_22, width=256, height=256, frames=9, fit=(("storage", "fp8"),)),
    Case(form=MIDDLE_22, width=384, height=256, frames=9, fit=(("offload", "parts"), ("tile", 256))),
]

ENCODED = [
    Case(form=form, width=width, height=height, frames=9, fit=(("offload", "parts"), ("tile", tile)), encodes=True)
    for form, width, height, tile in (
        (MIDDLE_21, 416, 240, None),
        (SMALL_21, 832, 480, None),
        (SMALL_21, 832, 480, 512),
        (SMALL_21, 832, 480, 256),
        (SMALL_21, 832, 480, 128),
        (SMALL_22, 832, 480, None),
    )
]


def build(form: Form, folder: Path) -> Path:
    """A diffusers folder of that form with random weights and hibari-mini's text encoder; made once."""
    import torch

    import hibari_mini
    from hibari.model.dit import DiTConfig, WanDiT
    from hibari.model.vae import VAEConfig, WanVAE
    from hibari.model.weights import save_dit, save_vae

    made = folder / form.name
    if made.exists():
        return made
    values = dict(WAN_21 if form.vae == "2.1" else WAN_22)
    for name in ("base_dim", "decoder_base_dim"):
        if name in values:
            values[name] = values[name] // form.narrow
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    z_dim = values["z_dim"]
    torch.manual_seed(0)
    vae = WanVAE(VAEConfig(**values, latents_mean=(0.0,) * z_dim, latents_std=(1.0,) * z_dim))
    patch = (1, 2, 2)
    config = DiTConfig(
        num_attention_heads=form.heads, ffn_dim=form.ffn, num_layers=form.layers, in_channels=z_dim,
        out_channels=z_dim, patch_size=patch,
    )  # fmt: skip
    dit = WanDiT(config)
    with torch.no_grad():
        dit.init_weights()
    weights = hibari_mini.path()
    save_vae(vae, made / "vae", torch.bfloat16)
    save_dit(dit, made / "transformer", torch.bfloat16)
    for part in ("text_encoder", "tokenizer", "scheduler"):
        (made / part).symlink_to(weights / part, target_is_directory=True)
    (made / "model_index.json").write_text((weights / "model_index.json").read_text(encoding="utf-8"))
    return made


def planned(case: Case, work: Path) -> tuple[Any, Any, Any]:
    """The model, the plan and the fit of a case."""
    from hibari import catalog
    from hibari.config import Settings
    from hibari.generate.fit import Fit
    from hibari.generate.plan import make_plan
    from hibari.generate.sources import SourcePlan
    from hibari.request import GenerationRequest
    from hibari.shapes import VideoShape

    model = catalog.find(str(work / case.form.name) if case.form else "hibari-mini", Settings.load(home=work / "home"))
    plan = make_plan(GenerationRequest(prompt=PROMPT, steps=2, guidance=case.guidance), model, 1)
    plan = replace(plan, render=VideoShape(case.frames, case.height, case.width))
    if case.encodes:
        plan = replace(plan, source=SourcePlan(known=(), kept=(), level=0.5))
    return model, plan, Fit(**dict(case.fit))


def run_alone(case: Case, work: Path) -> None:
    """Make the case in this process, and say each stage as it begins."""
    import torch

    from hibari.generate.backend import Prompt
    from hibari.generate.generator import Generator

    model, plan, fit = planned(case, work)
    said("load")
    if case.encodes:
        encoding = Generator.load(model, torch.device("cpu"), getattr(torch, case.dtype), fit)
        frames = torch.randint(0, 256, (case.frames, case.height, case.width, 3), dtype=torch.uint8)
        said("encode")
        encoding.encode_clip(iter(frames.numpy()))
        said("done")
        return
    generator = Generator.load(model, torch.device("cpu"), getattr(torch, case.dtype), fit)
    said("denoise")
    latent = generator.make_latent(plan, Prompt(PROMPT))
    said("decode")
    for _ in generator.decode(latent):
        pass
    said("done")


def said(stage: str) -> None:
    """Tell the parent which stage begins."""
    print(stage, flush=True)


def measure(case: Case, work: Path) -> dict[str, float]:
    """The most anonymous memory of each stage of a child that makes the case, in bytes."""
    import selectors

    command = [sys.executable, __file__, "--work", str(work), "--child", str([*CASES, *ENCODED].index(case))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)  # what it said is seen at once
    assert child.stdout is not None
    waiting = selectors.DefaultSelector()
    waiting.register(child.stdout, selectors.EVENT_READ)
    stage, most = "start", dict[str, float]()
    while child.poll() is None:
        if waiting.select(POLL_S):
            line = child.stdout.readline().decode().strip()
            stage = line or stage
        most[stage] = max(most.get(stage, 0.0), anonymous(child.pid))
    if child.returncode:
        raise SystemExit(f"{case.name}: the child ended with {child.returncode}")
    return most


def anonymous(pid: int) -> float:
    """Anonymous memory of a process now; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (OSError, ValueError):
        return 0.0
    return sum(float(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def foreseen(case: Case, work: Path) -> Any:
    """What the plan says of the case."""
    from hibari.generate.anatomy import anatomy_of
    from hibari.generate.forecast import Where, foresee

    model, plan, fit = planned(case, work)
    start = time.perf_counter()
    forecast = foresee(model, anatomy_of(model), plan, fit, Where(device="cpu", dtype=case.dtype), None)
    return forecast, time.perf_counter() - start


def rows_of(cases: list[Case], work: Path, runs: int) -> Iterator[list[Any]]:
    """One line of the table for each case, of its median run."""
    for case in cases:
        if case.form is not None:
            build(case.form, work)
        forecast, took = foreseen(case, work)
        measured = sorted((measure(case, work) for _ in range(runs)), key=lambda most: max(most.values()))
        peaks, most = [max(each.values()) for each in measured], measured[runs // 2]
        peak = max(most.values())
        told = forecast.main["encode"] if case.encodes else forecast.peak
        error = told / peak - 1
        stages = [
            f"{forecast.main[name] / 1e6:.0f}/{most.get(name, 0) / 1e6:.0f}" for name in ("load", "denoise", "decode")
        ]
        row = [
            case.name,
            told / 1e6,
            peak / 1e6,
            f"{error:+.1%}",
            f"{peaks[0] / 1e6:.0f} to {peaks[-1] / 1e6:.0f}",
            *stages,
            took * 1e3,
        ]
        print(row, file=sys.stderr, flush=True)
        yield row


def main() -> None:
    """Run a child for each case and report; with --child, be one."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--work", type=Path, help="folder for the models that are built")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--encode", action="store_true", help="clips that are encoded, and nothing made of them")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        run_alone([*CASES, *ENCODED][given.child], given.work)
        return
    with TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        cases = [case for case in (ENCODED if given.encode else CASES) if given.only in case.name]
        rows = list(rows_of(cases, work, given.runs))
    errors = [abs(float(row[3].rstrip("%"))) / 100 for row in rows]
    head = ("case", "foreseen, MB", "measured, MB", "error", "runs", "load", "denoise", "decode", "plan took, ms")
    within = sum(error <= ALLOWED for error in errors)
    facts = {"cases": len(rows), f"within {ALLOWED:.0%}": within, "worst": f"{max(errors):.1%}"}
    accounts.report(given.out / ("plan_memory_encode.json" if given.encode else "plan_memory.json"), head, rows, facts)


if __name__ == "__main__":
    main()
