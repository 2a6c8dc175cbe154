"""What training cost, and the weights that a run keeps on its way together with it, for curves of quality over compute.

A kept folder holds a transformer as diffusers has it (config and weights) and COMPUTE. It appears whole or not at all.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from hibari.errors import TrainingError
from hibari.model.dit import DiTConfig
from hibari.shapes import PackLayout
from hibari.train.checkpoint import whole_folder

COMPUTE = "compute.json"
FORMULA = (
    "6 N T + 12 D W (sum of n^2): N weights that each of the T tokens is multiplied by, D layers, W width, n tokens of "
    "a clip; a multiplication and an addition count as two, a step as three forward passes. Text, norms and the "
    "modulation are left out."
)


@dataclass(frozen=True, kw_only=True)
class Compute:
    """What it took to train weights up to `step` of a run that is to make `steps`.

    flops: by FORMULA. held_out: the loss by level that the run measured there. from_nothing: false where the run went
    on from other weights, whose cost is not in it.
    """

    step: int
    steps: int
    tokens: int
    flops: float
    from_nothing: bool
    held_out: dict[str, float]
    formula: str = FORMULA

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What stands in a folder; raises TrainingError where it is not there or is none."""
        path = folder / COMPUTE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"{path}: what training cost cannot be read ({error}).") from error


def training_flops(config: DiTConfig, layout: PackLayout) -> float:
    """What one training step on a pack costs, by FORMULA."""
    width, patch = config.width, config.patch_size[0] * config.patch_size[1] * config.patch_size[2]
    # Queries, keys, values and output of the self-attention, queries and output of the cross-attention, feed-forward.
    block = 6 * width**2 + 2 * width * config.ffn_dim
    weights = config.num_layers * block + width * patch * (config.in_channels + config.out_channels)
    squares = sum(grid.tokens**2 for grid in layout.grids)
    return 6.0 * weights * layout.num_tokens + 12.0 * config.num_layers * width * squares


def kept_folder(out: Path, step: int) -> Path:
    """Where a training in `out` keeps the averaged weights of a step."""
    return out / "kept" / f"{step:06d}"


def kept_folders(out: Path) -> list[Path]:
    """What a training in `out` has kept, in order of steps; what a kill left half written is not among them."""
    folders = [path for path in (out / "kept").glob("*") if path.name.isdecimal() and (path / COMPUTE).is_file()]
    return sorted(folders, key=lambda path: int(path.name))


def keep(out: Path, compute: Compute, write: Callable[[Path], None]) -> None:
    """Keep the weights that `write` puts into a folder, with what they cost."""
    with whole_folder(kept_folder(out, compute.step)) as fresh:
        write(fresh)
        (fresh / COMPUTE).write_text(json.dumps(asdict(compute), indent=1) + "\n", encoding="utf-8")
