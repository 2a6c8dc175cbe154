"""What the benchmarks share: floating point operations counted from a config, this machine's own rate, and a report.

A number of seconds says little on a machine that others use too, so every benchmark states a ratio of two things that
were measured in one run.
"""

import argparse
import json
import platform
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch

from hibari.machine import cores
from hibari.model.dit import DiTConfig
from hibari.shapes import Grid

RESULTS = Path(__file__).parent / "results"


def denoise_flops(config: DiTConfig, grid: Grid, text_tokens: int) -> float:
    """Multiplications and additions of one pass of the transformer over one clip, text keys not counted.

    `text_tokens` are the keys that a query meets in cross-attention: the prompt's own and one for the padding.
    """
    tokens, width = grid.tokens, config.width
    patch = prod(config.patch_size)
    linear = 6 * width * width + 2 * width * config.ffn_dim  # q, k, v, out; q, out across; feed forward
    attention = 2 * width * (tokens + text_tokens)
    ends = width * patch * (config.in_channels + config.out_channels)
    return 2.0 * tokens * (config.num_layers * (linear + attention) + ends)


def parser(about: str | None) -> argparse.ArgumentParser:
    """A command line with what every benchmark asks for: the model, the data folder, and where the result goes."""
    made = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    made.add_argument("--model", default="hibari-mini", help="name or folder")
    made.add_argument("--home", type=Path, help="data folder")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder for the result's JSON")
    return made


def report(out: Path, head: Sequence[str], rows: Sequence[Sequence[Any]], facts: Mapping[str, Any]) -> None:
    """Print a small table and the facts, and write both to the file `out`."""
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(head), *texts]) for column in range(len(head))]
    for line in [list(head), ["-" * width for width in widths], *texts]:
        print("  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip())
    for key, value in facts.items():
        print(f"{key}: {_text(value)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "rows": [dict(zip(head, row, strict=True)) for row in rows], **facts}
    out.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
