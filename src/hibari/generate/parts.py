"""A part of a model that is loaded when it is wanted, and may be let go in between."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Part(Generic[T]):
    """Call it for the part itself. What `load` raises comes through; a part that was let go is loaded again."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._held: T | None = None

    @property
    def is_held(self) -> bool:
        """Whether it takes memory now."""
        return self._held is not None

    def __call__(self) -> T:
        if self._held is None:
            self._held = self._load()
        return self._held

    def release(self) -> None:
        """Let it go; its memory is free once nobody else holds it."""
        self._held = None
