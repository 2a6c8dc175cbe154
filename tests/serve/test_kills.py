"""Jobs survive what `benchmarks/kills.py` does to the workers and the API, at a small number. About 2 minutes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from houses import own_home

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_nothing_is_lost_done_twice_or_stuck(home: Path, tmp_path: Path) -> None:
    own = own_home(home, tmp_path / "home")
    small = ["--model", "tiny", "--jobs", "30", "--every", "6", "--api-kills", "1", "--home", str(own)]
    done = subprocess.run([sys.executable, str(KILLS), *small], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    facts = dict(re.findall(r"(?m)^(\S.*?)  +(.+)$", done.stdout))
    assert facts["files whole"] == facts["completed"] == facts["completions"] == "30"
    assert int(facts["workers killed"]) >= 1 and facts["API killed"] == "1"
