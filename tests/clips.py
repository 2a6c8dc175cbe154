"""Clips to edit, ours and somebody else's, for tests of what is made of them."""

import json
from pathlib import Path
from typing import Any

import c2pa
import numpy as np

from hibari.media import encode
from hibari.produce import Hibari, Record
from hibari.request import GenerationRequest
from houses import own_home


def clip_house(home: Path, folder: Path) -> Hibari:
    """A house of its own; what it makes carries no visible label."""
    return Hibari(
        home=own_home(home, folder / "home"), model="tiny", device="cpu", dtype="float32", user="ann", label="off"
    )


def our_clip(maker: Hibari, folder: Path) -> Record:
    """A clip of 9 frames that left here, and its latents beside it."""
    path = folder / "source.mp4"
    return maker.generate(ask(size="192x128"), output=path, keep_latents=path.with_suffix(".safetensors"))


def ask(**fields: Any) -> GenerationRequest:
    return GenerationRequest(**({"prompt": "an octopus drifts to the left", "seed": 4, "steps": 2} | fields))


def latents_of(record: Record) -> Path:
    return record.path.with_suffix(".safetensors")


def upload(path: Path, frames: int = 12, fps: int = 12) -> Path:
    """Somebody else's clip: a bar that moves."""
    picture = np.zeros((frames, 64, 96, 3), np.uint8)
    for index in range(frames):
        picture[index, :, index * 4 : index * 4 + 20] = (240, 60, 30)
    encode.write_video(path, iter(picture), fps)
    return path


def actions(path: Path) -> tuple[list[str], list[str]]:
    """The actions in a file's credentials, and the relationships of its ingredients."""
    with c2pa.Reader(str(path)) as reader:
        store = json.loads(reader.json())
    active = store["manifests"][store["active_manifest"]]
    (found,) = (each["data"]["actions"] for each in active["assertions"] if each["label"] == "c2pa.actions.v2")
    return [each["action"] for each in found], [each["relationship"] for each in active["ingredients"]]
