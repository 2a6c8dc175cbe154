"""Pictures: `/v1/images/generations`, answered while the client waits, by the same queue, workers and door."""

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import replace

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hibari.access.quota import quota_of
from hibari.request import seeds
from hibari.serve.api.call import Call
from hibari.serve.api.errors import ApiError, invalid
from hibari.serve.api.making import Draft, Wish, settle
from hibari.serve.api.sampling import read_count, read_sampling
from hibari.serve.api.videos import drop_files
from hibari.serve.api.wire import Fields
from hibari.store.queue import Note
from hibari.store.queue_rows import Job, NewJob, new_video_id
from hibari.store.quota import LimitReached

MAX_PICTURES = 10
LONGEST_S, EVERY_S = 580.0, 0.25  # for all of them; the clients give up after 600 s
_TEXTS = {"quality": ("auto", "standard", "low", "medium", "high", "hd"), "moderation": ("auto",)}


async def generate_images(call: Call) -> Response:
    """Make 1 to 10 pictures and answer with them, as the door signed them; where one cannot be had, with an error."""
    async with call.fields() as (fields, _):
        wish, count = _wish(fields)
        fields.finish()
        draft = await settle(call, wish, "image")
        jobs = _takes(draft, count)
        try:
            made = await _made(call, jobs, draft.seconds * count)
            data = [{"b64_json": await to_thread.run_sync(_text, call, job)} for job in made]
        finally:  # they live in the answer alone
            await asyncio.shield(_forget(call, jobs))
    body = {"created": int(time.time()), "data": data, "output_format": "png", "size": draft.job.size}
    return await to_thread.run_sync(JSONResponse, body)  # ten pictures are many megabytes to write down


def _wish(fields: Fields) -> tuple[Wish, int]:
    """What is asked for, and how often; fields that could not take effect are errors."""
    prompt, count = fields.text("prompt", required=True), read_count(fields, MAX_PICTURES)
    assert prompt is not None
    if fields.choice("response_format", ("b64_json", "url")) == "url":
        raise invalid("response_format", "Pictures come as b64_json alone.", "not_supported")
    if fields.choice("output_format", ("png", "webp", "jpeg")) not in (None, "png"):
        raise invalid("output_format", "Pictures come as png alone.", "not_supported")
    for name, allowed in _TEXTS.items():
        fields.choice(name, allowed)
    if fields.choice("background", ("auto", "opaque", "transparent")) == "transparent":
        raise invalid("background", "Pictures are opaque.", "not_supported")
    if fields.flag("stream"):
        raise invalid("stream", "Pictures come in one answer.", "not_supported")
    called, size = fields.text("model", most=200), fields.text("size", most=32)
    sampling = read_sampling(fields)
    wish = Wish(prompt=prompt, called=called, size=None if size == "auto" else size, seconds=None, sampling=sampling)
    return wish, count


def _takes(draft: Draft, count: int) -> list[NewJob]:
    """The jobs of so many pictures, alike but for their seeds; raises InvalidRequest."""
    asked = draft.job.request
    return [
        replace(draft.job, id=new_video_id(), request=asked | {"seed": seed}) for seed in seeds(asked["seed"], count)
    ]


async def _made(call: Call, jobs: Sequence[NewJob], seconds: float) -> list[Job]:
    """The jobs once all are done, queued as the user's slots get free; raises ApiError, LimitReached.

    The first to be queued is booked as `seconds`, and noted, for all of them.
    """
    note = call.noting(f"asked for {len(jobs)} pictures" if len(jobs) > 1 else "asked for")
    ends_at, queued, done = time.monotonic() + LONGEST_S, 0, dict[str, Job]()
    while len(done) < len(jobs):
        first = queued == 0
        if queued < len(jobs) and await _queued(call, jobs[queued], seconds if first else 0.0, note if first else None):
            queued += 1
            continue
        for job in jobs[:queued]:
            if job.id not in done and (ended := await _ended(call, job.id)) is not None:
                done[job.id] = ended
        if time.monotonic() > ends_at:
            headers = {"x-should-retry": "false"}
            text = "The queue is too long to wait for a picture."
            raise ApiError(503, text, code="server_error", headers=headers)
        await asyncio.sleep(EVERY_S)
    return [done[job.id] for job in jobs]


async def _queued(call: Call, job: NewJob, seconds: float, note: Note | None) -> bool:
    """Queue a job; one without a note waits for room, and is False until there is some. Raises LimitReached."""
    quota, queue = quota_of(call.actor.limits, call.service.settings.service), call.service.queue
    try:
        # A look first: who waits asks four times a second, and adding would take the write lock each time.
        await to_thread.run_sync(lambda: queue.check_room(job.user, quota=quota, seconds=seconds))
        await to_thread.run_sync(lambda: queue.add(job, quota=quota, seconds=seconds, note=note))
    except LimitReached as error:
        if note is None and error.code != "daily_seconds":
            return False
        raise
    return True


async def _ended(call: Call, id: str) -> Job | None:
    """The job where it is done, None where it is not yet; raises ApiError where it failed."""
    job = await to_thread.run_sync(call.service.queue.find, id)
    if job is None:
        raise ApiError(404, "The picture was deleted while it was made.", code="not_found")
    if job.status == "failed":
        assert job.error is not None
        status = 500 if job.error.code in ("server_error", "out_of_memory") else 400
        raise ApiError(status, job.error.message, code=job.error.code, headers={"x-should-retry": "false"})
    return job if job.status == "completed" else None


def _text(call: Call, job: Job) -> str:
    assert "image" in job.files, job.files
    return base64.b64encode(b"".join(call.service.blobs.open(job.files["image"]))).decode("ascii")


async def _forget(call: Call, jobs: Sequence[NewJob]) -> None:
    for job in jobs:
        removed = await to_thread.run_sync(call.service.queue.remove, job.id)
        if removed is not None:
            await to_thread.run_sync(drop_files, call, removed)
