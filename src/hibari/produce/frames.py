"""From a latent to its frames where memory may run out on the way: then in smaller pieces, from where it stopped."""

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from hibari.errors import OutputError
from hibari.produce.foreseen import Fit

if TYPE_CHECKING:
    from torch import Tensor

    from hibari.generate.backend import Backend
    from hibari.media.fit import Frame

# How torch's own allocators say it, as RuntimeErrors, and oneDNN, which finds no room for a convolution's code.
NO_MEMORY = re.compile(r"can't allocate memory|out of memory|could not create a primitive$", re.IGNORECASE)


def decoded(
    generator: "Backend", latent_CTHW: "Tensor", fit: Fit, on_smaller: Callable[[Fit], None]
) -> Iterator["Frame"]:
    """The frames of a latent; where memory runs out, on from there in the next smaller way to decode, to the last.

    `on_smaller` is told each of these ways.
    """
    done, way = 0, fit
    while True:
        try:
            for frame in islice(generator.decode(latent_CTHW, way), done, None):
                done += 1
                yield frame
            return
        except (MemoryError, RuntimeError) as error:
            smaller = way.smaller if is_no_memory(error) else None
            if smaller is None:
                raise
            way = smaller
            on_smaller(way)
        give_memory_back()


def is_no_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out: torch has classes of its own for that on some devices only."""
    return isinstance(error, MemoryError) or NO_MEMORY.search(str(error)) is not None


@contextmanager
def enough_memory() -> Iterator[None]:
    """Raise OutputError, which says what to do, where memory runs out in the block."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_no_memory(error):
            raise
        raise OutputError(
            "there was not enough memory.",
            option="memory",
            hint="Give less than `hibari plan` says is free, and it is made in a smaller way where there is one.",
        ) from error


def give_memory_back() -> None:
    """Let what nobody holds any more be another model's; torch keeps an accelerator's memory for itself otherwise."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
