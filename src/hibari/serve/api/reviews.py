"""The reviewer's desk over the API: which videos wait for a word, what was held of each, and that word.

What waits in a data folder and belongs to no video is the command line's (`produce.review`). Nobody decides what they
asked for themselves; a decision, the state of its video and its line in the audit log are one transaction.
"""

from pathlib import Path
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from hibari.access import Decision, Resource
from hibari.access.audit import append
from hibari.errors import InvalidRequest
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldItem, Reviews, Ruling
from hibari.provenance.ledger.reviews import Word
from hibari.serve.api.call import Call, denied
from hibari.serve.api.content import file_response
from hibari.serve.api.errors import LOG, ApiError, invalid, not_found
from hibari.serve.api.uploads import CLIPS, PICTURES
from hibari.serve.api.wire import page, unix
from hibari.serve.asked import Asked
from hibari.store.holds import HELD_FILE

_OWN = "nobody decides what they asked for themselves"
LONGEST_NOTE = 2000
_TYPES = {suffix: kind for kind, suffix in (PICTURES | CLIPS).items()}
WHICH = ("held", "input", "end_image", "source", "character")


async def list_reviews(call: Call) -> Response:
    """A page of what waits for a reviewer, the newest first."""
    asked = call.page_query()
    last = await _item(call, asked.after, "after") if asked.after is not None else None
    reviews = Reviews(call.service.store)
    items = await to_thread.run_sync(lambda: reviews.of_videos(limit=asked.limit + 1, after=last, order=asked.order))
    return JSONResponse(page([_shown(item) for item in items[: asked.limit]], len(items) > asked.limit))


async def retrieve_review(call: Call) -> Response:
    """What was held of one video, why, and what there is to look at; one that was decided too."""
    item = await _item(call, call.path("review_id"), "review_id")
    return JSONResponse(_shown(item) | {"files": [*await _files(call, item)]})


async def download_held(call: Call) -> Response:
    """The held clip, or what the request starts from, for a reviewer to look at."""
    item = await _item(call, call.path("review_id"), "review_id")
    files = await _files(call, item)
    which = call.query("which") or next(iter(files), HELD_FILE)
    if which not in WHICH:
        raise invalid("which", f"Allowed: {', '.join(WHICH)}.")
    if which not in files:
        raise ApiError(404, f"There is no such file to look at: {which}.", code="not_found", param="which")
    blob = files[which]
    suffix = Path(blob).suffix
    tag = f"{item.id}-{which}"
    kind = _TYPES.get(suffix, "application/octet-stream")
    return await file_response(call, blob, kind, name=f"{tag}{suffix}", tag=tag)


async def allow_review(call: Call) -> Response:
    """Let it through: the video goes on, and its frames are screened like any others unless they were what was held."""
    return await _decide(call, "allowed")


async def deny_review(call: Call) -> Response:
    """Turn it down for good: the video has failed, and what was kept for it goes."""
    return await _decide(call, "refused")


async def _decide(call: Call, word: Word) -> Response:
    async with call.fields() as (fields, _):
        note = fields.text("reason", required=True, most=LONGEST_NOTE)
        fields.finish()
    assert note is not None
    item = await _item(call, call.path("review_id"), "review_id")
    resource = Resource(kind="review", owner=item.user, id=str(item.id))
    if item.user == call.actor.user:
        decision = Decision(allowed=False, reason=_OWN)
        await call.note(resource, decision)
        raise denied(decision)
    ruling = Ruling(decision=word, reviewer=call.actor.user, note=note)

    def audited(connection: Connection) -> None:
        append(connection, call.actor, "review.decide", resource, Decision(allowed=True, reason=word))

    try:
        decided = await to_thread.run_sync(Reviews(call.service.store).decide, item.id, ruling, audited)
    except InvalidRequest as error:
        raise ApiError(400, error.message, code="already_decided", param="review_id") from error
    return JSONResponse(_shown(decided))


async def _item(call: Call, text: str, param: str) -> HeldItem:
    """The item of an id that a video waits for, or waited; raises ApiError."""
    try:
        id = GenerationId.parse(text)
    except InvalidRequest as error:
        raise not_found("review", param) from error
    item = await to_thread.run_sync(Reviews(call.service.store).find, id)
    if item is None or item.video is None:
        raise not_found("review", param)
    return item


async def _files(call: Call, item: HeldItem) -> dict[str, str]:
    """The blobs that a reviewer looks at before a decision, by what each is; none once it is made.

    Of what another version of the service asked for there is the held clip alone.
    """
    assert item.video is not None
    job = await to_thread.run_sync(call.service.queue.find, item.video)
    if item.state != "waiting" or job is None or job.generation_id != item.id.value:
        return {}
    named = {HELD_FILE: job.files.get(HELD_FILE)}
    try:
        asked = Asked.from_dict(job.request)
    except InvalidRequest as error:
        LOG.warning("%s shows no inputs: %s", item.id, error)
    else:
        character = asked.characters[0].file if asked.characters else None
        source = asked.source.video if asked.source is not None else None
        named |= {"input": asked.input, "end_image": asked.end_image, "source": source, "character": character}
    return {name: blob for name, blob in named.items() if blob is not None}


def _shown(item: HeldItem) -> dict[str, Any]:
    """An item as the API shows it, null where an older release wrote nothing. Where files lay is nobody's to see."""
    asked = item.request.get
    return {
        "id": str(item.id),
        "object": "review",
        "status": item.state,
        "created_at": unix(item.created_at),
        "video_id": item.video,
        "user": item.user,
        "stage": item.stage,
        "reason": item.reason,
        "categories": {name: round(score, 4) for name, score in item.categories.items()},
        "prompt": asked("prompt"),
        "negative_prompt": asked("negative") or None,
        "model": asked("model"),
        "size": asked("size"),
        "seconds": asked("seconds"),
        "consent": asked("consent"),
        "decided_at": unix(item.decided_at),
        "decided_by": item.reviewer,
        "decision_reason": item.decision_reason,
    }
