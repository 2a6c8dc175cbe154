"""What single layers cost with and without a change: a VAE's norm in pieces, a LoRA on a layer, blocks compiled.

    python benchmarks/small_parts.py [--runs 5] [--parts norm lora compile]

Random weights in bfloat16 on a processor; both sides take turns, and the best run of each counts, in processor time.
The norm is that of a level of 96 channels, 8x120x208; the LoRA has rank 32 on a layer of 5120x5120 with 1,024 tokens;
compiled are two blocks of width 768 over 4,096 tokens, the first pass of which waits for a C++ compiler.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import accounts
import torch
from torch import Tensor

from hibari.catalog import Lora, LoraLayer
from hibari.generate.loras import laid_on
from hibari.model.compiled import compile_blocks
from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.vae_layers import ChannelNorm, activate
from hibari.shapes import Grid, PackLayout

Work = Callable[[], object]
PARTS = ("norm", "lora", "compile")
RANK = 32


def timed(work: Work) -> float:
    """Seconds of processor time of one call: others may use the machine too."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turns(one: Work, other: Work, runs: int) -> tuple[float, float]:
    """Best seconds of both, which have run once before."""
    found = [(timed(one), timed(other)) for _ in range(runs + 1)][1:]
    return min(each[0] for each in found), min(each[1] for each in found)


def norm(runs: int) -> list[Any]:
    """Norm and SiLU, one after the other over the whole level, and in pieces that stay in a core's cache."""
    x = torch.randn(1, 96, 8, 120, 208).to(torch.bfloat16, memory_format=torch.channels_last_3d)
    layer = ChannelNorm(96, 3)
    whole, pieces = in_turns(lambda: torch.nn.functional.silu(layer(x)), lambda: activate(layer, x), runs)
    return ["VAE's norm and SiLU in pieces", whole * 1e3, pieces * 1e3, pieces / whole]


def lora(runs: int) -> list[Any]:
    """A layer alone, and with a file's low-rank pair laid on it."""
    from safetensors.torch import save_file

    key, x = "blocks.0.attn1.to_q", torch.randn(1024, 5120).bfloat16()
    dit = transformer(heads=40, ffn=64, layers=1)
    layer = dit.get_submodule("blocks.0.self_attention.to_q")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lora.safetensors"
        save_file({"down": torch.randn(RANK, 5120), "up": torch.randn(5120, RANK)}, path)
        layers = {key: LoraLayer(down="down", up="up")}
        file = Lora(name="lora", path=path, sha256="", weight=1.0, expert="", layers=layers)

        def with_it() -> float:
            with laid_on(dit, [file]):
                layer(x)  # once: it is brought to the layer's type then
                return timed(lambda: layer(x))

        found = [(timed(lambda: layer(x)), with_it()) for _ in range(runs + 1)][1:]
    alone, laid = min(each[0] for each in found), min(each[1] for each in found)
    return [f"layer of 5120x5120 with a LoRA of rank {RANK}", alone * 1e3, laid * 1e3, laid / alone]


def compiled(runs: int) -> tuple[list[Any], float]:
    """A pass of a transformer as it is, and compiled; and the seconds of the first compiled one."""
    plain, made = (transformer(heads=6, ffn=3072, layers=2) for _ in range(2))
    grid = Grid(4, 32, 32)
    patches, levels = torch.randn(grid.tokens, plain.config.in_channels * 4), torch.full((4,), 0.5)
    states = [torch.randn(60, plain.config.text_dim)]

    def go(dit: WanDiT) -> Tensor:
        return dit(patches, PackLayout((grid,)), levels, dit.encode_text(states))

    compile_blocks(made, torch.device("cpu"))
    start = time.perf_counter()
    go(made)
    first = time.perf_counter() - start  # the compiler is a process of its own
    as_it_is, fast = in_turns(lambda: go(plain), lambda: go(made), runs)
    return ["pass of two compiled blocks", as_it_is * 1e3, fast * 1e3, fast / as_it_is], first


def transformer(*, heads: int, ffn: int, layers: int) -> WanDiT:
    """Random weights of the Wan 2.1 form, in bfloat16."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"num_attention_heads": heads, "ffn_dim": ffn, "num_layers": layers}
    dit = WanDiT(DiTConfig(**sizes, in_channels=16, out_channels=16, patch_size=(1, 2, 2)))
    with torch.no_grad():
        dit.init_weights()
    return dit.to(torch.bfloat16).eval()


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, default=accounts.RESULTS, help="folder for the result's JSON")
    given = parser.parse_args()
    rows, facts = [], dict[str, Any]()
    with torch.inference_mode():
        rows += [norm(given.runs)] if "norm" in given.parts else []
        rows += [lora(given.runs)] if "lora" in given.parts else []
        if "compile" in given.parts:
            row, facts["first compiled pass, s"] = compiled(given.runs)
            rows.append(row)
    head = ("", "without, processor ms", "with, processor ms", "of the time")
    accounts.report(given.out / "small_parts.json", head, rows, facts | {"threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
