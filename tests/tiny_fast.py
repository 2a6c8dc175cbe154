"""A tiny random model to be distilled by `hibari train mini-fast`, and one with a fast version, for tests.

The tiny model has a card here: 4 steps with guidance 3 at 64x64 or 96x64, 8 frames a second.
"""

import json
from pathlib import Path
from typing import Any

import torch

from hibari.model.weights.lora import save_lora
from hibari.recipes.fast import LORA
from tiny_pipeline import build_tiny_pipeline

CARD = {
    "name": "tiny",
    "revision": "1",
    "licence": "Apache-2.0",
    "sizes": ["96x64", "64x64"],
    "upscale": 2,
    "fps": 8,
    "seconds": 1.0,
    "max_seconds": 4.0,
    "steps": 4,
    "guidance": 3.0,
    "references": 1,
    "verbs": ["text to video", "text to image", "image to video", "video to video", "extend"],
}
SETTINGS = [
    "threads=1",
    "workers=1",
    "steps=2",
    "rounds=1",
    "walks.parts=[[96,64,5,4],[64,64,1,3]]",
    "walks.at_once=2",
    "walks.tokens=96",
    "walks.known_start=0.4",
    "walks.reference_share=0.6",
    "unseen.parts=[[96,64,5,2]]",
    "student.rank=4",
    "student.pack.tokens=192",
    "student.loop.optim.steps=6",
    "student.loop.optim.warmup=1",
    "student.loop.optim.lr=0.005",
    "student.loop.measure_every=3",
    "student.loop.log_every=2",
]


def build_teacher(folder: Path) -> Path:
    """The tiny model with a card, in `folder`, which is made."""
    build_tiny_pipeline(folder)
    (folder / "hibari.json").write_text(json.dumps(CARD))
    return folder


def add_fast(folder: Path, **fast: Any) -> Path:
    """A fast version of two steps that changes what is made, for a folder of `build_teacher`; returns its file."""
    transformer = json.loads((folder / "transformer" / "config.json").read_text())
    width = transformer["num_attention_heads"] * transformer["attention_head_dim"]
    generator = torch.Generator().manual_seed(8)
    pairs = {
        f"blocks.0.self_attention.{name}": (
            torch.randn(2, width, generator=generator) * 0.3,
            torch.randn(width, 2, generator=generator) * 0.3,
        )
        for name in ("to_v", "to_out")
    }
    save_lora(pairs, folder / LORA, torch.float32)
    card = json.loads((folder / "hibari.json").read_text())
    (folder / "hibari.json").write_text(json.dumps(card | {"fast": {"lora": LORA, "steps": 2} | fast}))
    return folder / LORA
