"""Characters: reference clips that a prompt may be given, kept with what was stated about who is shown.

Nobody's likeness is kept on a guess: without a statement there is no character.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread
from sqlalchemy import func, insert, select
from starlette.responses import JSONResponse, Response

from hibari.request import CONSENT
from hibari.serve.api.call import Call
from hibari.serve.api.errors import ApiError, not_found
from hibari.serve.api.uploads import CLIPS, PICTURES
from hibari.serve.api.wire import unix
from hibari.serve.asked import CharacterUse
from hibari.store import Store, tables

CHARACTER_ID = re.compile(r"char_[0-9a-f]{24}")
MAX_NAME, MAX_CHARACTERS = 80, 100


class Characters:
    """The characters of a store. Every method raises StoreError where the database cannot."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, user: str, *, id: str, name: str, file: str, consent: dict[str, Any]) -> Any:
        """Keep a character whose clip is stored already; its row. Raises ApiError where there are enough."""
        table, now = tables.characters, datetime.now(UTC)
        count = select(func.count()).select_from(table).where(table.c.user_name == user)
        row = {"id": id, "user_name": user, "name": name, "created_at": now, "file": file, "consent": consent}
        with self._store.writing() as connection:
            if connection.execute(count).scalar_one() >= MAX_CHARACTERS:
                raise ApiError(400, f"There are {MAX_CHARACTERS} characters already.", code="too_many_characters")
            return connection.execute(insert(table).values(row).returning(table)).one()

    def find(self, id: str) -> Any:
        """The row of an id, whoever's it is; None where there is none."""
        table = tables.characters
        with self._store.reading() as connection:
            return connection.execute(select(table).where(table.c.id == id)).one_or_none()

    def used(self, user: str, ids: Sequence[str]) -> tuple[CharacterUse, ...]:
        """A user's characters of these ids, in their order; those that are not theirs are left out."""
        table = tables.characters
        known = [id for id in ids if CHARACTER_ID.fullmatch(id)]
        mine = select(table).where(table.c.user_name == user, table.c.id.in_(known))
        with self._store.reading() as connection:
            rows = {row.id: row for row in connection.execute(mine)}
        return tuple(
            CharacterUse(id=id, name=row.name, file=row.file, consent=row.consent["people"])
            for id in known
            if (row := rows.get(id)) is not None
        )


async def create_character(call: Call) -> Response:
    """Keep a clip (or a picture) under a name, with a statement about who is in it."""
    async with call.fields() as (fields, _):
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
        suffix, _ = await call.service.uploads.look(upload, "video", CLIPS | PICTURES)
        id = f"char_{secrets.token_hex(12)}"
        file, blobs = f"{id}/clip{suffix}", call.service.blobs
        stated = {"people": consent, "stated_by": call.actor.user, "stated_at": datetime.now(UTC).isoformat()}
        await to_thread.run_sync(blobs.put, file, upload.path)
        try:
            row = await to_thread.run_sync(
                lambda: call.service.characters.add(call.actor.user, id=id, name=name, file=file, consent=stated)
            )
        except BaseException:
            await to_thread.run_sync(blobs.delete, file)
            raise
    await call.done(id)
    return JSONResponse(_shown(row))


async def get_character(call: Call) -> Response:
    """A character of the caller's."""
    id = call.path("character_id")
    row = await to_thread.run_sync(call.service.characters.find, id) if CHARACTER_ID.fullmatch(id) else None
    if row is None:
        raise not_found("character", "character_id")
    await call.permit(row.user_name, row.id, "character_id")
    return JSONResponse(_shown(row))


def _shown(row: Any) -> dict[str, Any]:
    return {"id": row.id, "object": "character", "name": row.name, "created_at": unix(row.created_at)}
