"""Characters on the wire: reference clips that a prompt may be given, with what was stated about who is shown.

Nobody's likeness is kept on a guess: without a statement there is no character.
"""

from datetime import UTC, datetime
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hibari.errors import HibariError
from hibari.request import CONSENT
from hibari.serve.api.call import Call
from hibari.serve.api.errors import LOG, ApiError, invalid, not_found
from hibari.serve.api.uploads import CLIPS, PICTURES, checked_clip
from hibari.serve.api.wire import Fields, page, unix
from hibari.store.characters import CHARACTER_ID, Character, NewCharacter, new_character_id

MAX_NAME = 80


async def create_character(call: Call) -> Response:
    """Keep a clip (or a picture) under a name, with a statement about who is in it."""
    async with call.fields() as (fields, _):
        key, kept = await call.idempotency_key(fields), call.service.characters
        first = await to_thread.run_sync(kept.made_before, call.actor.user, key) if key is not None else None
        return JSONResponse(_character_object(first or await _keep(call, fields)))


async def list_characters(call: Call) -> Response:
    """A page of the caller's characters, the newest first."""
    asked, kept = call.page_query(), call.service.characters
    if asked.after is not None and not CHARACTER_ID.fullmatch(asked.after):
        raise invalid("after", "It is no character's id. Give last_id of the page before.")
    found, has_more = await to_thread.run_sync(
        lambda: kept.list(call.actor.user, limit=asked.limit, after=asked.after, order=asked.order)
    )
    return JSONResponse(page([_character_object(one) for one in found], has_more))


async def get_character(call: Call) -> Response:
    """A character of the caller's."""
    return JSONResponse(_character_object(await _find(call)))


async def delete_character(call: Call) -> Response:
    """Delete a character and its clip; what waits to be made with it will fail."""
    found = await _find(call)
    if await to_thread.run_sync(call.service.characters.remove, found.id, call.noting()) is None:
        raise not_found("character", "character_id")
    try:
        await to_thread.run_sync(call.service.blobs.delete, found.file)
    except HibariError as error:  # no row names it, so the sweeper takes it
        LOG.warning("%s stays for now: %s", found.file, error)
    return JSONResponse({"id": found.id, "object": "character.deleted", "deleted": True})


async def _keep(call: Call, fields: Fields) -> Character:
    """A new character of a request, its clip stored before its row; raises ApiError."""
    name = fields.text("name", required=True, most=MAX_NAME)
    consent = fields.choice("consent", CONSENT)
    upload = fields.file("video")
    fields.finish()
    if consent is None:
        text = (
            "Missing required parameter: 'consent'. State who is shown: adults (who agreed), minors (whose guardian"
            " agrees) or nobody (who is real)."
        )
        raise ApiError(400, text, code="missing_required_parameter", param="consent")
    assert name is not None
    suffix, info = await call.service.uploads.look(upload, "video", CLIPS | PICTURES)
    if info.kind == "video":
        checked_clip(info, "video")
    id, user = new_character_id(), call.actor.user
    stated = {"people": consent, "stated_by": user, "stated_at": datetime.now(UTC).isoformat()}
    new = NewCharacter(id=id, user=user, name=name, file=f"{id}/clip{suffix}", consent=stated)
    key, kept, blobs = await call.idempotency_key(fields), call.service.characters, call.service.blobs
    await to_thread.run_sync(blobs.put, new.file, upload.path)
    try:
        made = await to_thread.run_sync(lambda: kept.add(new, key=key, note=call.noting()))
    except BaseException:
        await to_thread.run_sync(blobs.delete, new.file)
        raise
    if made.id != id:  # the same request was faster
        await to_thread.run_sync(blobs.delete, new.file)
    return made


async def _find(call: Call) -> Character:
    """The character of the path, where the caller may do with it what they came for; raises ApiError."""
    id = call.path("character_id")
    if not CHARACTER_ID.fullmatch(id):  # whatever else it is goes into no table, the audit log's neither
        raise not_found("character", "character_id")
    found = await to_thread.run_sync(call.service.characters.find, id)
    if found is None:
        await call.absent(id, "character_id")
    await call.permit(found.user, found.id, "character_id")
    return found


def _character_object(one: Character) -> dict[str, Any]:
    return {"id": one.id, "object": "character", "name": one.name, "created_at": unix(one.created_at)}
