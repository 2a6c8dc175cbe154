"""Workers in a Ray cluster: what is missing is said; and (slow, 60 seconds) a job outlives the node that had it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hibari.config import Settings
from hibari.errors import InvalidRequest, MissingDependency
from hibari.media.decode import probe
from hibari.serve.cluster import Share, run_cluster
from hibari.store.blobs import open_blobs
from houses import own_home

TESTS = Path(__file__).parents[1]
QUICK = {f"RAY_health_check_{name}": "500" for name in ("period_ms", "initial_delay_ms", "timeout_ms")}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_health_check_failure_threshold": "2"}
# Ray listens on every interface, and leaves processes behind: in namespaces of its own it does neither.
ALONE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
UP = ["sh", "-c", 'ip link set lo up; exec "$0" "$@"']


def test_without_ray_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as it is where it was not installed
    with pytest.raises(MissingDependency, match=r"\./weights '\.\[cluster\]'"):
        run_cluster(Settings(home=tmp_path), address="auto", workers=1, share=Share())


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        run_cluster(Settings(home=tmp_path), address="auto", workers=0, share=Share())
    assert caught.value.option == "workers"
    with pytest.raises(InvalidRequest) as caught:
        Share(gpus=-1)
    assert caught.value.option == "gpus"


@pytest.mark.slow
def test_a_job_outlives_the_node_that_had_it(home: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("no Ray here: pip install -c constraints.txt ./weights '.[cluster]'")
    settings = Settings(home=own_home(home, tmp_path / "home"), model="tiny")
    alone = [*ALONE, *UP] if os.geteuid() == 0 else []
    ran = subprocess.run(
        [*alone, sys.executable, str(TESTS / "ray_house.py"), str(settings.home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env=os.environ | QUICK | QUIET | {"PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS)])},
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert (told["status"], told["error"], told["code"]) == ("completed", None, 0), told
    assert told["attempt"] >= 2, "it was claimed by another worker"
    path = tmp_path / "a.mp4"
    open_blobs(settings).fetch(told["video"], path)
    assert probe(path).frames == 24
