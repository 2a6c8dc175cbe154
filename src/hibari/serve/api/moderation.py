"""Moderation of texts and pictures: a helper process screens them, and what it says is worded here."""

import secrets
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from hibari.serve.api.call import Call
from hibari.serve.api.errors import invalid, missing
from hibari.serve.api.making import picture_at
from hibari.serve.api.uploads import PICTURES, Shelf
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
