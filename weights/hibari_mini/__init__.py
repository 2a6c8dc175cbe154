"""The weights of hibari-mini, a diffusers folder. This package holds data; its one function says where it lies."""

from pathlib import Path


def path() -> Path:
    """The folder with model_index.json, for `hibari` or for `diffusers.WanPipeline.from_pretrained`."""
    return Path(__file__).parent
