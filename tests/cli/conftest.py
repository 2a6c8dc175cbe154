"""What every test of a verb needs: the command line in a subprocess, in a folder and an environment of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
# A torch that cannot be imported: what works with it in front needs no torch.
NO_TORCH = "raise ImportError('torch was loaded')"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HIBARI_")}
    return kept | {"HIBARI_HOME": str(home), "HIBARI_MODEL": "tiny", "HIBARI_DTYPE": "float32", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    (tmp_path / "out").mkdir()

    def start(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hibari", *arguments]
        return subprocess.run(
            command,
            env=environment | extra,
            cwd=tmp_path / "out",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return start


@pytest.fixture
def run_without_torch(run: Run, tmp_path: Path) -> Run:
    (tmp_path / "no_torch").mkdir()
    (tmp_path / "no_torch" / "torch.py").write_text(NO_TORCH)
    path = os.pathsep.join(filter(None, [str(tmp_path / "no_torch"), os.environ.get("PYTHONPATH")]))
    return lambda *arguments: run(*arguments, PYTHONPATH=path)
