"""The GPU preset, whole, at a ridiculous size on the CPU, with torch and its bare neighbours alone. About a minute."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hibari.recipes import mini
from hibari.worlds.pack import STARTER_PACK, SpritePack
from hibari.worlds.vocabulary import whole
from tiny_recipe import ABSENT, TINY

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m hibari.recipes mini-gpu` without the packages that a bare training machine lacks."""
    code = f"""
import runpy, sys
for name in {ABSENT}:
    sys.modules[name] = None
runpy.run_module("hibari.recipes", run_name="__main__", alter_sys=True)
"""
    tiny = [setting for setting in TINY if not setting.startswith("samples")]
    given = ["device=cpu", f"base={ROOT / 'weights' / 'hibari_mini'}", *tiny, *arguments]
    command = [sys.executable, "-c", code, "mini-gpu", *given]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_from_nothing_to_weights_in_commands_that_stop_on_the_clock(tmp_path: Path) -> None:
    pack = SpritePack.load().export(["panda", "rocket", "frog", "bee", "star"], tmp_path / "pack").folder
    where = (f"out={tmp_path / 'run'}", f"world.pack={pack}")
    for stage in ("vae", "cache", "dit"):
        stopped = ("dit.loop.stop_after_seconds=0.001",) if stage == "dit" else ()
        done = run(*where, f'stages=["{stage}"]', *stopped)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "dit" / "weights").exists()
    done = run(*where, 'stages=["dit","export"]')
    assert done.returncode == 0, done.stderr
    weights = tmp_path / "run" / "weights"
    assert done.stdout == f"{weights}\n"
    world = json.loads((weights / "world.json").read_text())
    assert sorted(world["objects"]) == ["bee", "frog", "panda", "rocket", "star"]
    assert "hides" in world["motions"] and {"panda", "honeybee", "room", "fog"} <= set(world["words"])
    compute = json.loads((weights / "compute.json").read_text())
    assert compute["step"] == compute["steps"] == 5 and compute["from_nothing"]
    assert [path.name for path in sorted((tmp_path / "run" / "dit" / "kept").iterdir())] == ["000001", "000005"]
    labels = [json.loads(path.read_text()) for path in (tmp_path / "run" / "cache").glob("*.json")]
    assert any(len(scene["objects"]) > 1 for part in labels for scene in part), "two things and their relation"


def test_without_a_pack_it_says_so_at_once(tmp_path: Path) -> None:
    done = run(f"out={tmp_path}", f"world.pack={tmp_path}")
    assert done.returncode == 2 and "is not a sprite pack" in done.stderr
    done = run(f"out={tmp_path}", "world.vocabulary=half", f"world.pack={STARTER_PACK}")
    assert done.returncode == 2 and "Use mini or whole" in done.stderr


def test_the_preset_takes_every_thing_and_motion_of_its_pack() -> None:
    recipe = mini.MINI_GPU.world
    assert (recipe.vocabulary, recipe.pack) == ("whole", "pack")
    pack = SpritePack.load()
    assert mini.WorldRecipe(vocabulary="whole").world().vocabulary == whole(pack)
    assert mini.MINI.world.world().vocabulary.objects[:2] == ("octopus", "panda")
