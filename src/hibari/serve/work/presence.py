"""A worker's presence: a thread that tells the others, every few seconds, that it is there and what it holds."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from hibari.errors import StoreError
from hibari.machine import Holding
from hibari.store import Store, workers

_LOG = logging.getLogger(__name__)


@contextmanager
def present(
    store: Store, owner: str, holding: Callable[[], Holding | None], every_s: float = workers.TOLD_EVERY_S
) -> Iterator[None]:
    """Be among the workers while the block runs; `holding` is None while there is nothing to say yet."""
    over = Event()

    def tell() -> None:
        told = False
        while not over.wait(every_s if told else min(1.0, every_s)):
            if (held := holding()) is not None:
                told = True
                _try(lambda held=held: workers.seen(store, owner, held))  # type: ignore[misc]

    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _try(lambda: workers.gone(store, owner))


def _try(change: Callable[[], None]) -> None:
    """Change the table where the database is there; it is for the information of others alone."""
    try:
        change()
    except StoreError as error:
        _LOG.warning("no word of this worker: %s", error)
