"""What computes here: the device, the number type that suits it, and how fast it multiplies.

torch is imported only when a question needs it, so that the rest of the package may import this room.
"""

import ctypes
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hibari.errors import InvalidRequest

if TYPE_CHECKING:
    import torch

_FAST_BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # x86 and ARM names of the instructions


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a worker's maker holds: the models by name on a device, its memory, and the accelerator's (None on a CPU).

    Both in bytes.
    """

    device: str
    models: tuple[str, ...]
    memory_bytes: int
    device_bytes: int | None


def pick_device(name: str) -> "torch.device":
    """The device that a setting names; "auto" is the first of CUDA, MPS, CPU. Raises InvalidRequest."""
    import torch

    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device(present[0])
    if name not in present:
        raise InvalidRequest(f"{name} is not there.", option="device", hint=f"Here: auto, {', '.join(present)}.")
    return torch.device(name)


def pick_dtype(name: str, device: "torch.device") -> "torch.dtype":
    """The number type that a setting names; "auto" is bfloat16 where it is fast, else float32."""
    import torch

    if name == "auto":
        return torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def bfloat16_is_fast(device: "torch.device") -> bool:
    """Whether the device multiplies bfloat16 in hardware. Asked of the hardware and not measured: a busy
    moment must not change the numbers that a seed gives."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    # A torch too old to tell gets float32, which is right everywhere.
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(flags.get(flag, False) for flag in _FAST_BF16_FLAGS)


def matmul_rate(device: "torch.device", dtype: "torch.dtype", side: int = 2048, seconds: float = 0.4) -> float:
    """Measured rate of a square matrix product, in floating point operations a second."""
    import torch

    a = torch.randn(side, side, device=device).to(dtype)
    b = torch.randn(side, side, device=device).to(dtype)

    def once() -> None:
        (a @ b)[:1, :1].float().cpu()  # reading a number back waits for the device

    once()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        once()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best if best < float("inf") else 0.0


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worked_s(process: int) -> float | None:
    """Seconds of processor time that a process has used, of all its threads; None where nobody says (not Linux)."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    user, system = told.rpartition(")")[2].split()[11:13]  # fields 14 and 15 of proc(5), past a name that may hold all
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_bytes() -> int:
    """The memory that this process holds now; where the system does not say (not Linux), the most that it held."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # of POSIX alone

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def device_bytes(device: "torch.device") -> int | None:
    """The accelerator's memory that this process's tensors take; None on a CPU."""
    import torch

    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return torch.mps.current_allocated_memory() if device.type == "mps" else None


def memory_bytes() -> int:
    """The machine's main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_bytes() -> int:
    """The main memory that this process could take: what is free, or its container leaves it, and what it holds."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return memory_bytes() // 2  # a system that does not say what it could give back
    entries = dict(line.split(":") for line in info.read_text(encoding="ascii").splitlines())
    free = int(entries["MemAvailable"].split()[0]) * 1024
    for limit, used in _CGROUPS:
        if limit.is_file() and used.is_file() and (most := limit.read_text(encoding="ascii").strip()).isdecimal():
            free = min(free, int(most) - int(used.read_text(encoding="ascii")) + _reclaimable(used.parent))
    return max(0, free) + resident_bytes()


_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def _reclaimable(group: Path) -> int:
    """What a container's system holds of files, and gives back when it is asked for room."""
    entries = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    return int(entries.get("inactive_file", 0)) + int(entries.get("active_file", 0))


def give_back_memory() -> None:
    """Hand what is free in this process back to the system, where its C library (glibc) keeps it for itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def likely_device(name: str) -> str:
    """The kind of device that a setting will come to, told without torch: "cuda", "mps" or "cpu"."""
    if name != "auto":
        return name.split(":", maxsplit=1)[0]
    if Path("/proc/driver/nvidia/version").is_file():
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def likely_dtype(name: str, device: str) -> str:
    """The number type that a setting will come to on such a device, told without torch."""
    if name != "auto":
        return name
    if device != "cpu":
        return "bfloat16"
    cpu = Path("/proc/cpuinfo")
    told = cpu.read_text(encoding="utf-8", errors="replace") if cpu.is_file() else ""
    flags = set(
        next((line for line in told.splitlines() if line.lower().startswith(("flags", "features"))), "").split()
    )
    return "bfloat16" if flags & set(_FAST_BF16_FLAGS) else "float32"
