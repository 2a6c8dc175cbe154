"""How fast this machine computes, measured once and kept in the data folder; what times are foreseen from."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hibari.errors import OutputError
from hibari.generate.anatomy import BYTES
from hibari.media.files import beside

if TYPE_CHECKING:
    import torch

FILE = "calibration.json"
SECONDS = 0.5  # that each rate is measured for


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Floating point operations a second of matrix products, attention and convolutions, and bytes a second from disk.

    `memory` is the accelerator's, in bytes (0: it computes on the processor).
    """

    device: str
    dtype: str
    threads: int
    linear: float
    attention: float
    convolution: float
    reading: float
    memory: int = 0

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return BYTES[self.dtype]

    @classmethod
    def load(cls, home: Path) -> Self | None:
        """What was measured here; None where nothing was, or by another release: it is measured again then."""
        try:
            values = json.loads((home / FILE).read_text(encoding="utf-8"))
            known = {each.name for each in fields(cls)}
            return cls(**values) if isinstance(values, dict) and set(values) == known else None
        except (OSError, ValueError):
            return None

    def keep(self, home: Path) -> None:
        """Keep it; raises OutputError."""
        try:
            with beside(home / FILE, private=True) as partial:
                partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{home / FILE} cannot be written ({error.strerror}).", option="home") from error


def measure(device: "torch.device", dtype: "torch.dtype", weights: Path) -> Calibration:
    """Measure this machine with shapes like those of a model; `weights` is a file to read from the disk."""
    import torch

    from hibari.machine import matmul_rate
    from hibari.model.attention import attend

    def rate(operations: float, work: Callable[[], torch.Tensor]) -> float:
        work()
        best, end = float("inf"), time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            work().flatten()[:1].float().cpu()  # reading a number back waits for the device
            best = min(best, time.perf_counter() - start)
        return operations / best

    with torch.inference_mode():
        heads = torch.randn(1, 2048, 4, 128, device=device).to(dtype)
        pixels = torch.randn(1, 96, 6, 64, 64, device=device).to(dtype, memory_format=torch.channels_last_3d)
        kernel = torch.randn(96, 96, 3, 3, 3, device=device).to(dtype)
        attention = rate(4.0 * 2048**2 * 512, lambda: attend(heads, heads, heads))
        convolution = rate(
            2.0 * 96 * 96 * 27 * 4 * 64**2, lambda: torch.nn.functional.conv3d(pixels, kernel, padding=(0, 1, 1))
        )
    return Calibration(
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        linear=matmul_rate(device, dtype),
        attention=attention,
        convolution=convolution,
        reading=_reading(weights),
        memory=torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0,
    )


def _reading(path: Path) -> float:
    """Bytes a second that a file is read with; what the system has of it in memory counts, as it will again."""
    start, size = time.perf_counter(), 0
    with path.open("rb") as file:
        while (piece := file.read(1 << 22)) and time.perf_counter() < start + SECONDS:
            size += len(piece)
    return size / (time.perf_counter() - start)
