"""Peak memory of a 4 second and of a 60 second VAE decode, which must not differ by more than a tenth.

    python benchmarks/decode_memory.py [--model NAME_OR_FOLDER] [--dtype bfloat16|float32]

Each decode is a child process that streams a random latent at the default render size and throws its frames away, as a
writer of files would. Peak resident memory is the child's own (getrusage); the row of what it held before decoding
shows how much of it is torch and the weights.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import accounts

LENGTHS = (4.0, 60.0)  # seconds
MOST = 0.10


def decode_alone(name: str, home: Path | None, dtype: str, seconds: float) -> dict[str, Any]:
    """Decode in this process; MB held before and at the peak, and how long it took."""
    import torch

    from hibari import catalog
    from hibari.config import Settings
    from hibari.generate.generator import Generator, draw_noise
    from hibari.shapes import VideoShape

    model = catalog.find(name, Settings.load(home=home))
    generator = Generator.load(model, torch.device("cpu"), getattr(torch, dtype))
    size = model.card.sizes[0]
    frames = model.strides.frames_at_least(round(seconds * model.card.fps))
    latent = draw_noise(1, model.strides.latent(VideoShape(frames, size.height, size.width)))
    before, start = peak_megabytes(), time.perf_counter()
    made = sum(1 for _ in generator.decode(latent))
    return {"before": before, "peak": peak_megabytes(), "frames": made, "took": time.perf_counter() - start}


def peak_megabytes() -> float:
    """The most memory that this process has held so far; Linux counts in KB and macOS in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Run a child for each length and report; with --child, be one."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        print(json.dumps(decode_alone(given.model, given.home, given.dtype, given.child)))
        return
    rows = []
    for seconds in LENGTHS:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", str(seconds)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        rows.append([seconds, found["frames"], found["before"], found["peak"], found["took"]])
    difference = rows[1][3] / rows[0][3] - 1
    head = ("clip, s", "frames", "before, MB", "peak, MB", "took, s")
    facts = {"model": given.model, "dtype": given.dtype, "difference": f"{difference:+.1%}", "allowed": f"{MOST:.0%}"}
    accounts.report(given.out / "decode_memory.json", head, rows, facts)


if __name__ == "__main__":
    main()
