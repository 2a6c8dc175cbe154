"""Progress as it happens, in server-sent events: what polling would show, without the polling."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from anyio import to_thread
from starlette.responses import Response, StreamingResponse

from hibari.serve.api.call import Call
from hibari.serve.api.errors import too_many
from hibari.serve.api.videos import find
from hibari.serve.api.wire import video_object
from hibari.store.queue_rows import Job

EVERY_S, ALIVE_S, LONGEST_S = 0.5, 15.0, 3600.0
MAX_STREAMS = 16  # of one user at once


class Streams:
    """How many streams each user has open."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def enter(self, user: str) -> None:
        """Count one more; raises ApiError where there are enough."""
        if self._open.get(user, 0) >= MAX_STREAMS:
            raise too_many(f"You have {MAX_STREAMS} streams open.", "rate_limit_exceeded", 10)
        self._open[user] = self._open.get(user, 0) + 1

    def leave(self, user: str) -> None:
        """Count one less."""
        self._open[user] -= 1
        if not self._open[user]:
            del self._open[user]


async def stream_events(call: Call) -> Response:
    """Events `video`, with the Video object, at every change until it is done; `video.deleted` where it goes."""
    job = await find(call, call.path("video_id"))
    streams, user = call.service.streams, call.actor.user
    streams.enter(user)

    async def told() -> AsyncIterator[str]:
        try:
            async for text in _changes(call, job):
                yield text
        finally:
            streams.leave(user)

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(told(), headers=headers, media_type="text/event-stream")


async def _changes(call: Call, job: Job) -> AsyncIterator[str]:
    service, last, ends_at = call.service, None, time.monotonic() + LONGEST_S
    spoke_at = time.monotonic()
    current: Job | None = job
    while time.monotonic() < ends_at:
        if current is None:
            yield _event("video.deleted", {"id": job.id, "object": "video.deleted", "deleted": True})
            return
        outlook = await service.pace.outlook()
        seconds = outlook.seconds(current)
        seen = video_object(current, outlook.place(current))
        if seen != last:
            eta = round(seconds) if seconds is not None and current.status in ("queued", "in_progress") else None
            yield _event("video", seen | {"eta_seconds": eta})
            last, spoke_at = seen, time.monotonic()
        elif time.monotonic() - spoke_at > ALIVE_S:
            yield ": still here\n\n"
            spoke_at = time.monotonic()
        if current.status in ("completed", "failed"):
            return
        await asyncio.sleep(EVERY_S)
        if service.lookup is not None:
            current = service.lookup.video(job.id)
        else:
            current = await to_thread.run_sync(service.queue.find, job.id)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
