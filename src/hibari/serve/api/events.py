"""Progress as it happens, in server-sent events: what polling would show, without the polling."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from anyio import to_thread
from starlette.responses import Response

from hibari.access import Resource, decide
from hibari.serve.api.call import Call
from hibari.serve.api.content import preview_blob
from hibari.serve.api.errors import ApiError
from hibari.serve.api.guard import identify
from hibari.serve.api.sending import Counted
from hibari.serve.api.videos import find
from hibari.serve.api.wire import video_object
from hibari.store.queue_rows import Job

EVERY_S, ASK_AGAIN_S, ALIVE_S, LONGEST_S = 0.5, 5.0, 15.0, 3600.0


async def stream_events(call: Call) -> Response:
    """Events `video`, with the Video object, at every change until it is done; `video.deleted` where it goes."""
    job = await find(call, call.path("video_id"))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type="text/event-stream")
    streams = call.service.gates.streams
    return Counted(_changes(call, job), streams, call.party, headers=headers, kind="text/event-stream")


async def _changes(call: Call, job: Job) -> AsyncIterator[str]:
    service, last, ends_at = call.service, None, time.monotonic() + LONGEST_S
    spoke_at = asked_at = time.monotonic()
    current: Job | None = job
    while time.monotonic() < ends_at:
        if current is None:
            yield _event("video.deleted", {"id": job.id, "object": "video.deleted", "deleted": True})
            return
        outlook = await service.forecast.outlook()
        seconds = outlook.seconds(current)
        seen = video_object(current, outlook.place(current))
        if seen != last:
            eta = round(seconds) if seconds is not None and current.status in ("queued", "in_progress") else None
            preview = f"/v1/videos/{job.id}/content?variant=preview" if await preview_blob(call, current) else None
            yield _event("video", seen | {"eta_seconds": eta, "preview": preview})
            last, spoke_at = seen, time.monotonic()
        elif time.monotonic() - spoke_at > ALIVE_S:
            yield ": still here\n\n"
            spoke_at = time.monotonic()
        if current.status in ("completed", "failed"):
            return
        await asyncio.sleep(EVERY_S)
        if time.monotonic() - asked_at > ASK_AGAIN_S:
            if not await _may_still(call, job):
                return
            asked_at = time.monotonic()
        if service.lookup is not None:
            current = service.lookup.video(job.id)
        else:
            current = await to_thread.run_sync(service.queue.find, job.id)


async def _may_still(call: Call, job: Job) -> bool:
    """Whether the key that the stream was opened with, its user and their role still let it be read."""
    try:
        actor = await identify(call.service, call.request, call.operation)
    except ApiError:  # revoked, expired, or not to be asked about just now: a client with a good key comes back
        return False
    return decide(actor, "video.read", Resource(kind="video", owner=job.user, id=job.id)).allowed


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
