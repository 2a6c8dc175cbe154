"""How a model is held and its latents are decoded, so that a generation fits into a machine's memory. No torch here.

A `Fit` changes where numbers lie and in which order they are worked on; what comes out is the same, but for weights in
a byte each ("int8", "fp8"), which are never chosen unless the settings allow it.
"""

from dataclasses import dataclass, replace
from typing import Literal

Storage = Literal["exact", "int8", "fp8"]
Offload = Literal["none", "parts", "cpu", "disk"]

SMALLEST_TILE = 128  # pixels; below it the halo is most of a tile
LARGEST_TILE = 512


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a model is held. The plain way, where all of it has room, is `Fit()`.

    `storage` is the form of the transformer's and the text encoder's linear layers: as they are, or in a byte each.
    `offload`: all parts stay on the device ("none"), one large part at a time ("parts"), one at a time and the
    transformer's layers come from main memory ("cpu") or from the file ("disk") as they are used. `frames` latent
    frames are decoded at once, by tiles of at most `tile` pixels a side (None: whole frames).
    """

    storage: Storage = "exact"
    offload: Offload = "none"
    tile: int | None = None
    frames: int = 2

    @property
    def held(self) -> "Fit":
        """What of this concerns how the model is loaded."""
        return Fit(storage=self.storage, offload=self.offload)

    @property
    def place(self) -> Literal["device", "cpu", "disk"]:
        """Where the transformer's layers lie until they are used."""
        return self.offload if self.offload in ("cpu", "disk") else "device"

    @property
    def smaller(self) -> "Fit | None":
        """The next way to decode in less memory; None where there is none."""
        if self.frames > 1:
            return replace(self, frames=1)
        tile = LARGEST_TILE if self.tile is None else self.tile // 2
        return replace(self, tile=tile) if tile >= SMALLEST_TILE else None

    def __str__(self) -> str:
        """What is not the plain way, in one line; empty where all of it is."""
        words = {
            "parts": "one large part in memory at a time",
            "cpu": "layers from main memory as they are used",
            "disk": "layers from disk as they are used",
        }
        said = [f"weights as {self.storage}"] if self.storage != "exact" else []
        said += [words[self.offload]] if self.offload != "none" else []
        said += ["decoded one latent frame at a time"] if self.frames == 1 else []
        said += [f"decoded by tiles of {self.tile} pixels"] if self.tile else []
        return ", ".join(said)
