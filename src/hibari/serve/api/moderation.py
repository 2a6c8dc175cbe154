"""Moderation of texts and pictures, and where a file comes from. Both are helper processes' work; words here."""

import secrets
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from hibari.access import STRANGER
from hibari.serve.api.call import Call
from hibari.serve.api.errors import invalid, missing
from hibari.serve.api.making import picture_at
from hibari.serve.api.uploads import CLIPS, PICTURES, Shelf
from hibari.serve.api.wire import checked_text
from hibari.serve.helper.said import Moderation

MODEL = "hibari-moderation"
MAX_INPUTS, MAX_PICTURES = 32, 4


async def create_moderation(call: Call) -> Response:
    """What the safety policy's screens say of texts and pictures, in the thirteen names that clients know."""
    async with call.fields() as (fields, shelf):
        fields.text("model", most=200)
        given = fields.given("input")
        fields.finish()
        if given is None:
            raise missing("input")
        if isinstance(given, str):
            given = [given]
        if not isinstance(given, list) or not 1 <= len(given) <= MAX_INPUTS:
            raise invalid("input", f"Give text, or a list of 1 to {MAX_INPUTS} texts or parts.", "invalid_type")
        if all(isinstance(one, str) for one in given):
            texts = [checked_text("input", one) for one in given]
            with call.service.gates.helped.inside(call.party):
                results = await call.service.helpers.users.moderate(texts, [])
        else:
            results = [await _message(call, given, shelf)]
    body = {
        "id": f"modr-{secrets.token_hex(12)}",
        "model": MODEL,
        "results": [result.as_result() for result in results],
    }
    return JSONResponse(body)


async def _message(call: Call, parts: list[Any], shelf: Shelf) -> Moderation:
    """One message in several parts, texts and pictures: one result for all of it."""
    texts: list[str] = []
    images: list[Path] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(checked_text("input.text", part["text"]))
        elif kind == "image_url" and isinstance(part.get("image_url"), dict) and len(images) < MAX_PICTURES:
            upload = await shelf.keep_bytes(await picture_at(call, part["image_url"].get("url"), "input.image_url.url"))
            await call.service.uploads.look(upload, "input", PICTURES)
            images.append(upload.path)
        else:
            raise invalid("input", f"Parts are text, or image_url (at most {MAX_PICTURES}).", "invalid_type")
    with call.service.gates.helped.inside(call.party):
        return Moderation.joined(await call.service.helpers.users.moderate(texts, images))


async def check_provenance(call: Call) -> Response:
    """Whether a picture or a clip was made here, and on what that rests; nobody's name, and no prompt, is in it."""
    service = call.service
    is_stranger = call.actor is STRANGER
    gate = service.gates.strangers if is_stranger else service.gates.helped
    helper = service.helpers.strangers if is_stranger else service.helpers.users
    with gate.inside(call.party):
        async with call.fields() as (fields, _):
            upload = fields.file("file")
            fields.finish()
            await service.uploads.look(upload, "file", PICTURES | CLIPS)
            answer = await helper.check(upload.path)
    metadata, watermark = answer["techniques"]["metadata"], answer["techniques"]["watermark"]
    proven = metadata["found"] and metadata["signed_here"]
    generated_at = _rfc3339(answer["created_at"]) if answer["made_here"] else None
    body = {
        "object": "content_provenance_check",
        "created_at": int(time.time()),
        "results": [
            {
                "type": "c2pa",
                "outcome": "detected" if proven else "not_detected",
                "validation_state": _state(metadata),
                "issuer": metadata["issuer"],
                "model": answer["model"] if proven else None,
                "generated_at": generated_at if proven else None,
            },
            {
                "type": "synthid",  # the only name for an invisible watermark that the clients' types know
                "outcome": "detected" if watermark["found"] else "not_detected",
                "model": answer["model"] if watermark["found"] else None,
                "generated_at": generated_at if watermark["found"] else None,
            },
        ],
        "made_here": answer["made_here"],
        "intact": answer["intact"],
        "generation_id": answer["id"],
        "rests_on": answer["rests_on"],
        "similar_to": answer["techniques"]["fingerprint"]["similar_to"],
    }
    return JSONResponse(body)


def _state(metadata: dict[str, Any]) -> str:
    """The clients' four words for credentials."""
    if not metadata["found"]:
        return "not_present"
    if not metadata["intact"]:
        return "invalid"
    return "trusted" if metadata["signed_here"] else "valid"


def _rfc3339(moment: str | None) -> str | None:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%dT%H:%M:%SZ") if moment is not None else None
