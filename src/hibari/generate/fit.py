"""How a model is held and its latents are decoded, so that a generation fits into a machine's memory. No torch here.

A `Fit` changes where numbers lie and in which order they are worked on; what comes out is the same, but for weights in
a byte each ("int8", "fp8"), which are never chosen unless the settings allow it.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Storage = Literal["exact", "int8", "fp8"]
Offload = Literal["none", "parts", "cpu", "disk"]

SMALLEST_TILE = 128  # pixels; below it the halo is most of a tile
LARGEST_TILE = 512


class Decoding(NamedTuple):
    """How latents are decoded: so many latent frames at once, by tiles of at most `tile` pixels a side (None: whole).

    `by_tile`: a tile goes through all of the clip and then the next, which holds one tile's state at a time and the
    whole clip; otherwise all tiles go through each piece of time.
    """

    frames: int = 2
    tile: int | None = None
    by_tile: bool = False


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a model is held. The plain way, where all of it has room, is `Fit()`.

    `storage` is the form of the transformer's and the text encoder's linear layers: as they are, or in a byte each.
    `offload`: all parts stay on the device ("none"), one large part at a time ("parts"), one at a time and the
    transformer's layers come from main memory ("cpu") or from the file ("disk") as they are used. `frames`, `tile` and
    `by_tile` are those of `Decoding`.
    """

    storage: Storage = "exact"
    offload: Offload = "none"
    tile: int | None = None
    frames: int = 2
    by_tile: bool = False

    @property
    def decoding(self) -> Decoding:
        """What of this concerns how latents are decoded."""
        return Decoding(self.frames, self.tile, self.by_tile)

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
        if self.tile is None:
            return replace(self, tile=LARGEST_TILE)
        if not self.by_tile:  # smaller tiles have more of a halo, whose states are held too
            return replace(self, by_tile=True)
        return replace(self, tile=self.tile // 2) if self.tile // 2 >= SMALLEST_TILE else None

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
        said += ["each through the whole clip"] if self.by_tile else []
        return ", ".join(said)
