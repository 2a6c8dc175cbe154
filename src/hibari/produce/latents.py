"""The latents of a generation, kept beside its file so that it can be redrawn or extended without being encoded.

They are what the transformer made, before any mark: a file for the house alone, never one that leaves it.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hibari.media.files import beside

if TYPE_CHECKING:
    from torch import Tensor

NAME = "latents"


def digest_of(latent_CTHW: "Tensor") -> str:
    """The sha256 of a latent's numbers, as a generation's record has it."""
    return hashlib.sha256(latent_CTHW.cpu().contiguous().numpy().tobytes()).hexdigest()


@contextmanager
def kept(path: Path | None) -> "Iterator[Callable[[Tensor], None]]":
    """A call that writes a latent to `path`, where one is given; the file stands once the block ends well.

    Raises OutputError, before any work where the file cannot be made.
    """
    if path is None:
        yield lambda _: None
        return
    from safetensors.torch import save_file

    with beside(path, private=True) as partial:
        yield lambda latent_CTHW: save_file({NAME: latent_CTHW.cpu().contiguous()}, partial)
