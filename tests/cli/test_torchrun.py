"""`hibari generate` under torchrun: two processes, one file, and only the first one speaks (slow: 40 seconds)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GENERATE = ["-m", "hibari", "generate", "a red ball", "--model", "tiny", "--steps", "2", "--seconds", "0.5", "--json"]


@pytest.mark.slow
def test_two_processes_make_one_file(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "ball.mp4"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [*GENERATE, "--seed", "3", "--dtype", "float32", "--home", str(home), "-o", str(target)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, *arguments], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert target.is_file() and done.stdout.count('"id"') == 1
