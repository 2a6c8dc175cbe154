"""Fixtures that several rooms share."""

import json
from pathlib import Path

import pytest

CARD = {
    "name": "tiny",
    "revision": "7",
    "licence": "Apache-2.0",
    "about": "Random weights, for tests.",
    "sizes": ["96x64", "64x96"],
    "upscale": 2,
    "fps": 12,
    "seconds": 0.75,
    "max_seconds": 20.0,
    "steps": 3,
    "guidance": 4.0,
    "max_prompt": 1000,
    "references": 1,
    "verbs": ["text to video", "text to image", "image to video", "video to video", "extend"],
}
WORLD = {"objects": ["octopus", "fox"], "motions": ["left"], "backgrounds": ["ocean"]}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one whole model, "tiny", of random weights; 5 seconds, most of them diffusers' import."""
    from tiny_pipeline import build_tiny_pipeline

    home = tmp_path_factory.mktemp("home")
    folder = build_tiny_pipeline(home / "models" / "tiny")
    (folder / "hibari.json").write_text(json.dumps(CARD))
    (folder / "world.json").write_text(json.dumps(WORLD))
    return home
