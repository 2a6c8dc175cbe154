"""The training rooms on a machine with torch, numpy, pillow, safetensors and tokenizers alone. About 10 s."""

import subprocess
import sys

from tiny_recipe import ABSENT

ROOMS = (
    "hibari.worlds.world",
    "hibari.data.clips",
    "hibari.data.plan",
    "hibari.model.dit",
    "hibari.model.vae",
    "hibari.model.text",
    "hibari.model.weights",
    "hibari.flow.solver",
    "hibari.train.loop",
    "hibari.train.objective",
    "hibari.recipes.mini",
    "hibari.recipes.__main__",
)


def test_training_imports_nothing_else() -> None:
    code = f"""
import importlib, sys
for name in {ABSENT}:
    sys.modules[name] = None
for room in {ROOMS}:
    importlib.import_module(room)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
