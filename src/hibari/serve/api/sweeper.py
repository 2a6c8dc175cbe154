"""The sweeper: what has had its time goes, rows first and then the files that they named.

A loop in the API's process. A file without a row is found a day later, whatever died in between; so a record never
names a file that is gone, and no file outlives its record for long. Several machines may sweep at once.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy import delete, select

from hibari.errors import HibariError
from hibari.store import Store, tables
from hibari.store.blobs import Blobs
from hibari.store.queue import Queue
from hibari.store.webhooks import Webhooks

LOG = logging.getLogger("hibari.serve")
EVERY_S = 60.0
ORPHANS_EVERY = timedelta(hours=1)  # it reads every name that there is
ORPHAN_AFTER = timedelta(days=1)  # a file is stored before the row that names it
KEYS_HOLD = timedelta(days=1)
EVENTS_KEPT = timedelta(days=30)  # of webhooks that were delivered or given up
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How many of each went."""

    videos: int = 0
    latents: int = 0
    refused: int = 0
    orphans: int = 0
    keys: int = 0
    events: int = 0


class Sweeper:
    """Sweeps one store and one place for files, which belong together: a file that no row knows is an orphan."""

    def __init__(
        self, store: Store, queue: Queue, blobs: Blobs, webhooks: Webhooks, *, every_s: float = EVERY_S
    ) -> None:
        self._store = store
        self._queue = queue
        self._blobs = blobs
        self._webhooks = webhooks
        self._every_s = every_s
        self._orphans_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep at intervals until `stop` is set; what could not be swept is logged and waits for the next time."""
        with ThreadPoolExecutor(1, thread_name_prefix="sweeper") as thread:
            while not stop.is_set():
                await asyncio.get_running_loop().run_in_executor(thread, self._try)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._every_s)

    def sweep(self, now: datetime | None = None) -> Swept:
        """Sweep once; raises StoreError, and OutputError where files cannot be reached."""
        now = now or datetime.now(UTC)
        swept = Swept(
            videos=self._sweep_videos(),
            latents=self._sweep_latents(),
            refused=self._sweep_refused(),
            orphans=self._sweep_orphans(now),
            keys=self._sweep_keys(now),
            events=self._webhooks.forget(now - EVENTS_KEPT),
        )
        if swept != Swept():
            LOG.info("swept: %s", ", ".join(f"{count} {name}" for name, count in vars(swept).items() if count))
        return swept

    def _try(self) -> None:
        try:
            self.sweep()
        except HibariError as error:
            LOG.warning("the sweeper waits: %s", error)

    def _sweep_videos(self) -> int:
        count = 0
        while (removed := self._queue.take_expired()) is not None:
            self._blobs.clear(removed.id)
            count += 1
        return count

    def _sweep_latents(self) -> int:
        names = self._queue.drop_latents()
        self._delete(names)
        return len(names)

    def _sweep_refused(self) -> int:
        ids = self._queue.drop_refused()
        for id in ids:
            self._blobs.clear(id)
        return len(ids)

    def _sweep_orphans(self, now: datetime) -> int:
        if self._orphans_at is not None and now - self._orphans_at < ORPHANS_EVERY:
            return 0
        old = (name for name, stored_at in self._blobs.names() if stored_at < now - ORPHAN_AFTER)
        count = 0
        while names := list(islice(old, _BATCH)):
            orphans = sorted(set(names) - self._owned(names))
            self._delete(orphans)
            count += len(orphans)
        self._orphans_at = now
        return count

    def _owned(self, names: Sequence[str]) -> set[str]:
        """Those of some names that belong to a row: a video's are under its id, a character's are named in it."""
        videos, characters = tables.videos, tables.characters
        with self._store.reading() as connection:
            ids = {name.partition("/")[0] for name in names}
            known = set(connection.scalars(select(videos.c.id).where(videos.c.id.in_(ids))))
            clips = set(connection.scalars(select(characters.c.file).where(characters.c.file.in_(names))))
        return {name for name in names if name.partition("/")[0] in known or name in clips}

    def _sweep_keys(self, now: datetime) -> int:
        keys = tables.idempotency
        with self._store.writing() as connection:
            return connection.execute(delete(keys).where(keys.c.created_at < now - KEYS_HOLD)).rowcount

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._blobs.delete(name)
