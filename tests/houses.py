"""Data folders and policies of their own, for tests of what a whole installation does."""

import re
from pathlib import Path

from hibari.safety.policy import SHIPPED


def own_home(home: Path, folder: Path) -> Path:
    """A data folder of its own with the tiny model in it."""
    folder.mkdir(mode=0o700)
    (folder / "models").symlink_to(home / "models")
    return folder


def holding(folder: Path) -> Path:
    """The shipped policy, but every frame is held."""
    sections = SHIPPED.read_text().split("\n\n")
    held = [re.sub(r"hold = [0-9.]+", "hold = 0.0001", one) if "[frames." in one else one for one in sections]
    path = folder / "policy.toml"
    path.write_text("\n\n".join(held))
    return path
