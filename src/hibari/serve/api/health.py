"""Whether the service is alive and ready, for probes. How it does is the metrics' to say."""

import asyncio
import time
from datetime import timedelta

from anyio import CapacityLimiter, to_thread
from starlette.responses import JSONResponse, Response

from hibari.errors import HibariError
from hibari.serve.api.call import Call
from hibari.serve.api.errors import LOG
from hibari.store import Store, workers
from hibari.store.blobs import Blobs

HERE = timedelta(seconds=3 * workers.TOLD_EVERY_S)  # a worker that was seen within that is there
_READY_S = 1.0  # how long an answer is kept


class Readiness:
    """Whether database and files answer. Anybody may ask: so there is one look at a time, and one a second."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store, self._blobs = store, blobs
        self._turn, self._thread = asyncio.Lock(), CapacityLimiter(1)
        self._looked_at = float("-inf")
        self._workers: int | None = None

    async def workers(self) -> int | None:
        """How many workers there are; None where the service is not ready."""
        async with self._turn:
            if time.monotonic() - self._looked_at > _READY_S:
                self._workers = await to_thread.run_sync(self._look, limiter=self._thread)
                self._looked_at = time.monotonic()
            return self._workers

    def _look(self) -> int | None:
        try:
            here = workers.present(self._store, HERE)
            self._blobs.size(f"video_{0:024x}/video.mp4")
        except HibariError as error:
            LOG.error("not ready: %s", error)
            return None
        return len(here)


async def healthz(call: Call) -> Response:
    """The process answers; nothing else is asked."""
    del call
    return JSONResponse({"status": "ok"})


async def readyz(call: Call) -> Response:
    """The database and the file store answer too. Without a worker jobs are taken all the same, and wait for one."""
    here = await call.service.meters.readiness.workers()
    if here is None:
        return JSONResponse({"status": "not ready"}, 503, {"retry-after": "5"})
    return JSONResponse({"status": "ready", "workers": here})
