"""Where a file comes from: a helper process searches it, and what it finds is worded here."""

import time
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from hibari.access import STRANGER
from hibari.serve.api.call import Call
from hibari.serve.api.uploads import CLIPS, PICTURES


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
