"""The bytes of a finished video: whole, in ranges, or not again where the client has them. And previews of others."""

import re
from http import HTTPStatus

from anyio import to_thread
from starlette.responses import Response

from hibari.serve.api.call import Call
from hibari.serve.api.errors import ApiError, invalid
from hibari.serve.api.sending import Counted
from hibari.serve.api.videos import find
from hibari.serve.files import PREVIEW, blob_of
from hibari.store.blobs import BlobMissing
from hibari.store.queue_rows import Job

VARIANTS = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
PREVIEW_VARIANT = "preview"
SUFFIXES = {"video/mp4": ".mp4", "image/webp": ".webp", "image/jpeg": ".jpg"}
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


async def download_content(call: Call) -> Response:
    """The video, its thumbnail or its spritesheet; while it is made, a frame of it where the operator allows that."""
    variant = call.query("variant") or "video"
    if variant not in (*VARIANTS, PREVIEW_VARIANT):
        raise invalid("variant", f"Allowed: {', '.join((*VARIANTS, PREVIEW_VARIANT))}.")
    job = await find(call, call.path("video_id"))
    if variant == PREVIEW_VARIANT:
        return await _preview(call, job)
    blob, kind = _blob(call, job, variant)
    tag = f"{job.generation_id or 0:012x}-{variant}"
    return await file_response(call, blob, kind, name=f"{job.id}{SUFFIXES[kind]}", tag=tag)


async def file_response(call: Call, blob: str, kind: str, *, name: str, tag: str) -> Response:
    """A blob as a file of that media type and name; `tag` and its size say which it is. Raises ApiError."""
    size = await to_thread.run_sync(call.service.blobs.size, blob)
    if size is None:
        raise ApiError(404, "This file is not there any more.", code="not_found")
    tag = f'"{tag}-{size:x}"'
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": f'attachment; filename="{name}"',
        "etag": tag,
    }
    known = call.request.headers.get("if-none-match", "")
    if known.strip() == "*" or tag in (each.strip() for each in known.split(",")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    start, length, status = _part(call, size, headers)
    if call.request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    pieces = await to_thread.run_sync(call.service.blobs.open, blob, start, length)
    return Counted(pieces, call.service.gates.downloads, call.party, status=status, headers=headers, kind=kind)


async def preview_blob(call: Call, job: Job) -> str | None:
    """The name of what there is to see of a video that is being made just now; None where there is nothing."""
    if call.service.settings.service.previews != "on" or job.status != "in_progress" or job.lease is None:
        return None
    name = blob_of(job, PREVIEW)
    return name if await to_thread.run_sync(call.service.blobs.size, name) is not None else None


async def _preview(call: Call, job: Job) -> Response:
    """A frame as it is just now. It changes under its name: so it is read at once, and nobody keeps it."""
    text = "There is no preview of this video: it is not being made now, or none has been let through."
    none = ApiError(404, text, code="not_found", param="variant")
    name = await preview_blob(call, job)
    if name is None:
        raise none
    try:
        picture = await to_thread.run_sync(lambda: b"".join(call.service.blobs.open(name)))
    except BlobMissing as error:  # the job has ended meanwhile
        raise none from error
    headers = {"cache-control": "no-store", "content-length": str(len(picture))}
    return Response(picture if call.request.method == "GET" else b"", headers=headers, media_type="image/webp")


def _blob(call: Call, job: Job, variant: str) -> tuple[str, str]:
    """The blob's name and type; raises ApiError, which clients do not take for a reason to try again."""
    if job.status in ("queued", "in_progress"):
        text = f"This video is not ready: it is {job.status.replace('_', ' ')}."
        raise ApiError(404, text, code="video_not_ready", param="video_id")
    if job.status == "failed":
        raise ApiError(404, "This video failed: there is nothing to download.", code="video_failed", param="video_id")
    expires_at = job.moments.expires_at
    if expires_at is not None and expires_at <= call.service.clock():
        raise ApiError(404, "This video has expired.", code="video_expired", param="video_id")
    if variant not in job.files:
        raise ApiError(404, f"This video has no {variant}.", code="not_found", param="variant")
    return job.files[variant], VARIANTS[variant]


def _part(call: Call, size: int, headers: dict[str, str]) -> tuple[int, int, HTTPStatus]:
    """Start and length of the whole file, or of the one range that was asked for; `headers` say so."""
    start, length, status = 0, size, HTTPStatus.OK
    wanted = call.request.headers.get("range")
    if wanted is not None and call.request.headers.get("if-range", headers["etag"]) == headers["etag"]:
        found = _RANGE.fullmatch(wanted.strip())
        if found is not None and any(found.groups()):  # other forms, and several ranges, get the whole
            start, length = _span(found[1], found[2], size)
            status = HTTPStatus.PARTIAL_CONTENT
            headers |= {"content-range": f"bytes {start}-{start + length - 1}/{size}"}
    headers |= {"content-length": str(length)}
    return start, length, status


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """Start and length of a range; raises ApiError for one outside the file."""
    if first:
        start = int(first)
        stop = min(int(last), size - 1) if last else size - 1
    else:
        start, stop = max(0, size - int(last)), size - 1
    if start > stop:
        headers = {"content-range": f"bytes */{size}"}
        raise ApiError(416, "The file does not have this range.", code="invalid_range", headers=headers)
    return start, stop - start + 1
