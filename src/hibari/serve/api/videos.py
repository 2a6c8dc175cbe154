"""The Videos API's own routes: create, retrieve, list, delete, remix, edit, extend. They enqueue and read; no more."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hibari.errors import HibariError
from hibari.serve.api.call import Call
from hibari.serve.api.errors import LOG, ApiError, invalid, missing, not_found
from hibari.serve.api.making import Attached, queue_job, read_picture, read_wish
from hibari.serve.api.uploads import CLIPS, Shelf, checked_clip
from hibari.serve.api.wire import Fields, checked_text, page, video_object
from hibari.serve.asked import Source
from hibari.store.queue_rows import Job

VIDEO_ID = re.compile(r"video_[0-9a-f]{24}")


async def create_video(call: Call) -> Response:
    """Queue a video from a prompt, and a start image where there is one."""
    return await _once(call, _create)


async def retrieve_video(call: Call) -> Response:
    """A video as it stands; one that failed too."""
    return await video_answer(call, await find(call, call.path("video_id")))


async def list_videos(call: Call) -> Response:
    """A page of the caller's videos, the newest first; `user` names another, for who may list theirs."""
    asked, whose = call.page_query(), call.query("user")
    if whose is not None:
        await call.permit(checked_text("user", whose, 200), None, "user")
    user = whose or call.actor.user
    if asked.after is not None and not VIDEO_ID.fullmatch(asked.after):
        raise invalid("after", "It is no video's id. Give last_id of the page before.")
    jobs, has_more = await to_thread.run_sync(
        lambda: call.service.queue.list(user, limit=asked.limit, after=asked.after, order=asked.order)
    )
    outlook = await call.service.forecast.outlook()
    return JSONResponse(page([video_object(job, outlook.place(job)) for job in jobs], has_more))


async def delete_video(call: Call) -> Response:
    """Delete a video and its files; one that is being made is cancelled."""
    job = await find(call, call.path("video_id"))
    removed = await to_thread.run_sync(call.service.queue.remove, job.id, call.noting())
    if removed is None:
        raise not_found("video", "video_id")
    await to_thread.run_sync(drop_files, call, removed)
    return JSONResponse({"id": job.id, "object": "video.deleted", "deleted": True})


async def remix_video(call: Call) -> Response:
    """Queue a finished video again under another prompt."""
    return await _once(call, _remix)


async def edit_video(call: Call) -> Response:
    """Queue an edit of a video of the caller's, or of a clip that comes with the request."""
    return await _once(call, _edit)


async def extend_video(call: Call) -> Response:
    """Queue what follows a video; the new video is both, stitched."""
    return await _once(call, _extend)


async def _once(call: Call, make: Callable[[Call, Fields, Shelf], Awaitable[Job]]) -> Response:
    """What a request makes, or what the same Idempotency-Key made before, whatever became of its source since."""
    async with call.fields() as (fields, shelf):
        key, queue = await call.idempotency_key(fields), call.service.queue
        first = await to_thread.run_sync(queue.made_before, call.actor.user, key) if key is not None else None
        return await video_answer(call, first or await make(call, fields, shelf))


async def _create(call: Call, fields: Fields, shelf: Shelf) -> Job:
    wish = await read_wish(call, fields, shaped=True)
    image = await read_picture(call, fields, shelf, "input_reference")
    end = await read_picture(call, fields, shelf, "end_image")
    fields.finish()
    if image is None and end is not None:
        raise invalid("end_image", "Nothing leads to it: it goes with input_reference.")
    if image is None and wish.strength is not None:
        raise invalid("strength", "There is nothing to redraw: it goes with input_reference.")
    attached = replace(image, end=end) if image is not None else None
    return await queue_job(call, wish, fields, "create", attached=attached)


async def _remix(call: Call, fields: Fields, _: Shelf) -> Job:
    wish = await read_wish(call, fields, shaped=False)
    fields.finish()
    job = await find(call, call.path("video_id"))
    return await queue_job(call, wish, fields, "remix", source=finished(job, "video_id"), inherited=job)


async def _edit(call: Call, fields: Fields, _: Shelf) -> Job:
    wish = await read_wish(call, fields, shaped=False)
    source, attached, inherited = await _source(call, fields)
    return await queue_job(call, wish, fields, "edit", attached=attached, source=source, inherited=inherited)


async def _extend(call: Call, fields: Fields, _: Shelf) -> Job:
    wish = await read_wish(call, fields, shaped=False)
    if wish.seconds is None:
        raise missing("seconds")
    if wish.strength is not None:
        raise invalid("strength", "A clip that is extended stays as it is.")
    source, attached, inherited = await _source(call, fields)
    return await queue_job(call, wish, fields, "extend", attached=attached, source=source, inherited=inherited)


async def find(call: Call, id: str) -> Job:
    """The job of an id, where the caller may do with it what they came for; raises ApiError."""
    service = call.service
    if not VIDEO_ID.fullmatch(id):
        raise not_found("video", "video_id")
    if service.lookup is not None:
        job = service.lookup.video(id)
    else:
        job = await to_thread.run_sync(service.queue.find, id)
    if job is None:
        await call.absent(id, "video_id")
    await call.permit(job.user, job.id, "video_id")
    return job


async def video_answer(call: Call, job: Job) -> Response:
    """The Video object, and when to ask again."""
    outlook = await call.service.forecast.outlook()
    pending = job.status in ("queued", "in_progress")
    headers = {"openai-poll-after-ms": str(outlook.poll_ms(job))} if pending else {}
    return JSONResponse(video_object(job, outlook.place(job)), headers=headers)


def finished(job: Job, param: str) -> Source:
    """A finished video as the source of another; raises ApiError for one that is not there to start from."""
    if job.status != "completed":
        text = "This video is not ready." if job.status != "failed" else "This video failed: there is nothing of it."
        raise ApiError(400, text, code="video_not_ready", param=param)
    if "video" not in job.files:
        raise ApiError(400, "It is a picture, and a video is wanted here.", code="invalid_value", param=param)
    return Source(
        id=job.id,
        video=job.files["video"],
        latents=job.files.get("latents"),
        seconds=float(job.seconds),
        size=job.size,
        frames=round(float(job.seconds) * job.request["fps"]),
        fps=job.request["fps"],
    )


def drop_files(call: Call, job: Job) -> None:
    """Delete the blobs of a job whose row is gone; what cannot be deleted now is the sweeper's."""
    try:
        call.service.blobs.clear(job.id)
    except HibariError as error:
        LOG.warning("files of %s stay for now: %s", job.id, error)


async def _source(call: Call, fields: Fields) -> tuple[Source, Attached | None, Job | None]:
    """The `video` of a request: an id of the caller's, or a clip. Raises ApiError."""
    upload = fields.upload("video")
    if upload is not None:
        fields.finish()
        suffix, info = await call.service.uploads.look(upload, "video", CLIPS)
        if info.kind != "video":
            raise invalid("video", "A clip is wanted here, and this is a picture.", "invalid_file")
        clip = checked_clip(info, "video")
        source = Source(
            id=None,
            video="",  # until the job has an id to store it under
            latents=None,
            seconds=float(clip.seconds),
            size=f"{clip.width}x{clip.height}",
            frames=clip.frames,
            fps=info.fps,
        )
        return source, Attached(upload=upload, suffix=suffix), None
    given: Any = await to_thread.run_sync(fields.raw, "video")
    fields.finish()
    if given is None:
        raise missing("video")
    if not isinstance(given, dict) or given.keys() != {"id"} or not isinstance(given["id"], str):
        raise invalid("video", 'Give a file, or an object with an id: {"id": "video_..."}.', "invalid_type")
    if not VIDEO_ID.fullmatch(given["id"]):
        raise not_found("video", "video")
    job = await to_thread.run_sync(call.service.queue.find, given["id"])
    if job is None:
        await call.absent(given["id"], "video", "video.extend")
    await call.permit(job.user, job.id, "video", "video.extend")
    return finished(job, "video"), None, job
