"""Pictures: `/v1/images/generations`, answered while the client waits, by the same queue, workers and door."""

import asyncio
import base64
import time
from dataclasses import replace

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hibari.serve.api.call import Call
from hibari.serve.api.errors import ApiError, invalid
from hibari.serve.api.making import Wish, queue_job
from hibari.serve.api.videos import drop_files
from hibari.serve.api.wire import Fields
from hibari.store.queue_rows import Job

MAX_PICTURES = 10
LONGEST_S, EVERY_S = 580.0, 0.25  # the clients give up after 600 s
_TEXTS = {"quality": ("auto", "standard", "low", "medium", "high", "hd"), "moderation": ("auto",)}


async def generate_images(call: Call) -> Response:
    """Make 1 to 10 pictures and answer with them, as the door signed them."""
    async with call.fields() as (fields, _):
        wish, count = _wish(fields)
        fields.finish()
        jobs: list[Job] = []
        try:
            for take in range(count):
                one = replace(wish, seed=None if wish.seed is None else wish.seed + take)
                jobs.append(await queue_job(call, one, fields, "image"))
            made = [await _made(call, job, time.monotonic() + LONGEST_S) for job in jobs]
            data = [{"b64_json": base64.b64encode(await _bytes(call, job)).decode("ascii")} for job in made]
        finally:  # they live in the answer alone
            for job in jobs:
                await asyncio.shield(_forget(call, job))
    body = {"created": int(time.time()), "data": data, "output_format": "png", "size": jobs[0].size}
    return JSONResponse(body)


def _wish(fields: Fields) -> tuple[Wish, int]:
    """What is asked for, and how often; fields that could not take effect are errors."""
    prompt, count = fields.text("prompt", required=True), fields.whole("n")
    assert prompt is not None
    if count is not None and not 1 <= count <= MAX_PICTURES:
        raise invalid("n", f"Give 1 to {MAX_PICTURES}.")
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
    size = fields.text("size", most=32)
    wish = Wish(
        prompt=prompt,
        negative=fields.text("negative_prompt") or "",
        called=fields.text("model", most=200),
        size=None if size == "auto" else size,
        seconds=None,
        fps=None,
        num_frames=None,
        seed=fields.whole("seed"),
        steps=fields.whole("num_inference_steps"),
        guidance=fields.number("guidance_scale"),
        strength=None,
        consent=None,
        characters=(),
    )
    return wish, count or 1


async def _made(call: Call, job: Job, ends_at: float) -> Job:
    """The job once it is done; raises ApiError where it failed or takes too long."""
    while time.monotonic() < ends_at:
        now = await to_thread.run_sync(call.service.queue.find, job.id)
        if now is None:
            raise ApiError(404, "The picture was deleted while it was made.", code="not_found")
        if now.status == "completed":
            return now
        if now.status == "failed":
            assert now.error is not None
            status = 500 if now.error.code in ("server_error", "out_of_memory") else 400
            headers = {"x-should-retry": "false"}
            raise ApiError(status, now.error.message, code=now.error.code, headers=headers)
        await asyncio.sleep(EVERY_S)
    headers = {"x-should-retry": "false"}
    raise ApiError(503, "The queue is too long to wait for a picture.", code="server_error", headers=headers)


async def _bytes(call: Call, job: Job) -> bytes:
    assert "image" in job.files, job.files
    return await to_thread.run_sync(lambda: b"".join(call.service.blobs.open(job.files["image"])))


async def _forget(call: Call, job: Job) -> None:
    removed = await to_thread.run_sync(call.service.queue.remove, job.id)
    if removed is not None:
        await to_thread.run_sync(drop_files, call, removed)
