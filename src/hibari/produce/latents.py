"""The latents of a generation, kept beside its file so that it can be redrawn or extended without being encoded.

They are what the transformer made, before any mark: a file for the house alone, never one that leaves it. They are
used for a file only where the record of that very file names them by their digest.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hibari.media.files import beside

if TYPE_CHECKING:
    from torch import Tensor

    from hibari.catalog import Model
    from hibari.provenance.ledger import Entry

NAME = "latents"


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """Latents (C,T,H,W) that were kept. `beyond` rendered frames of them come after the file's end.

    `whole` says that they begin where the file does; those of an extension begin with the context that it had.
    """

    latent_CTHW: "Tensor"
    beyond: int
    whole: bool


def digest_of(latent_CTHW: "Tensor") -> str:
    """The sha256 of a latent's numbers, as a generation's record has it."""
    return hashlib.sha256(latent_CTHW.cpu().contiguous().numpy().tobytes()).hexdigest()


@contextmanager
def keeping(path: Path | None) -> Iterator[Callable[[Kept], None]]:
    """A call that writes latents to `path`, where one is given; the file stands once the block ends well.

    Raises OutputError.
    """
    if path is None:
        yield lambda _: None
        return
    from safetensors.torch import save_file

    def keep(kept: Kept) -> None:
        facts = {"beyond": str(kept.beyond), "whole": str(int(kept.whole))}
        save_file({NAME: kept.latent_CTHW.cpu().contiguous()}, partial, facts)

    with beside(path, private=True) as partial:
        yield keep


def kept_of(path: Path, entry: "Entry | None", model: "Model") -> Kept | None:
    """The latents in a file of ours, where they are those of `entry`, made by `model`; None where they are not."""
    from safetensors import SafetensorError, safe_open

    if entry is None or entry.weights_sha256 != model.weights_sha256:
        return None
    try:
        with safe_open(path, "pt") as file:
            latent_CTHW, facts = file.get_tensor(NAME), file.metadata()
    except (OSError, SafetensorError):
        return None  # whoever asks encodes the clip instead
    if digest_of(latent_CTHW) != entry.making.latents_sha256:
        return None
    return Kept(latent_CTHW=latent_CTHW, beyond=int(facts["beyond"]), whole=facts["whole"] == "1")
