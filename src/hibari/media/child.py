"""Child processes in which other people's files are opened: what kills one kills nothing else.

Both ends of the fence are here: `start` for the parent, `begin` for the child's first breath. What a child does is for
its own module: `reader.py` decodes, `provenance/credentials/reader.py` reads credentials.
"""

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one file may cost: seconds of the clock and of a processor, bytes of address space, pixels of a frame."""

    seconds: float = 30.0
    processor_seconds: float = 30.0
    memory: int = 3 << 30
    pixels: int = 50_000_000


DEFAULT = Limits()


def start(
    module: str, task: dict[str, Any], limits: Limits, *, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Run a module of ours over a task, which `begin` hands to it; whoever starts it also ends it, in time."""
    told = asdict(limits) | task
    return subprocess.Popen(
        # -P: where a person stands among other people's files, a "json.py" beside them is not ours to import.
        [sys.executable, "-P", "-m", module, json.dumps(told)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # damaged files make the decoders talk; the answer says what matters
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a pool of threads would eat the address space
        start_new_session=True,  # so that Ctrl-C reaches us alone, and we end the child
    )


def begin() -> dict[str, Any]:
    """The task of this process, once it has bound itself; the limits are in it too."""
    task: dict[str, Any] = json.loads(sys.argv[1])
    _bind(task["memory"], math.ceil(task["processor_seconds"]))
    return task


def _bind(memory_bytes: int, cpu_seconds: int) -> None:
    """Bound this process: address space, processor time, and no file may be written."""
    import resource  # of POSIX alone, and the parent needs none

    for what, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (soft, hard))
