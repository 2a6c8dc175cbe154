"""Hibari: a sentence becomes a video.

    from hibari import Hibari, GenerationRequest
    record = Hibari().generate(GenerationRequest(prompt="an octopus drifts to the right over the ocean"))

Names load when they are asked for, so that importing one room does not import all of them.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hibari.errors import HibariError as HibariError
    from hibari.produce import Hibari as Hibari
    from hibari.produce import Progress as Progress
    from hibari.produce import Record as Record
    from hibari.request import GenerationRequest as GenerationRequest

_HOMES = {
    "GenerationRequest": "hibari.request",
    "Hibari": "hibari.produce",
    "HibariError": "hibari.errors",
    "Progress": "hibari.produce",
    "Record": "hibari.produce",
}
# torch reads it at its first tensor, on Linux: tensors of 2 MB and more then begin with a page of that size. They leave
# no odd pieces between each other, so that a generation takes less memory, and nearly the same each time.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
__all__ = sorted(_HOMES)  # noqa: PLE0605  # a list of names, though not a literal one


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'hibari' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
