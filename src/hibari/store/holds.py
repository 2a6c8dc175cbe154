"""Videos that wait for a reviewer, and what they wait for in the review queue: what changes in both at once.

Everything here is a part of the caller's transaction. A video's row is locked before its items are, by everybody, so
that no two wait for each other. Who may decide, and what was decided, is for `provenance.ledger.reviews` to say.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, update

from hibari.store import refusals, tables
from hibari.store.queue_rows import write_events
from hibari.store.quota import give_back
from hibari.store.wakes import ring

HELD, BLOCKED = "held_for_review", "moderation_blocked"  # what `error_code` says while it waits, and once it is refused
HELD_FILE = "held"  # in `files`: what a reviewer looks at, and what becomes the video's file
KEEP_REFUSED = timedelta(hours=24)


def is_open() -> ColumnElement[bool]:
    """That an item of `held_items` is for somebody to decide: nobody's video, or one that waits for just this item."""
    videos, items = tables.videos, tables.held_items
    waits = exists(select(videos.c.id).where(videos.c.id == items.c.video_id, *_waiting(items.c.generation_id)))
    return and_(items.c.state == "waiting", or_(items.c.video_id.is_(None), waits))


def go_on(connection: Connection, video_id: str, generation_id: int) -> bool:
    """Queue a video again whose item was allowed; False: it does not wait for this item."""
    videos = tables.videos
    queued = {
        "status": "queued",
        "progress": 0,
        "started_at": None,  # the time at the reviewer's says nothing about how long it takes
        "completed_at": None,
        "expires_at": None,
        "error_code": None,
        "error_message": None,
    }
    mine = and_(videos.c.id == video_id, *_waiting(generation_id))
    if connection.execute(update(videos).where(mine).values(queued)).rowcount != 1:
        return False
    ring(connection)
    return True


def refuse(connection: Connection, video_id: str, generation_id: int, why: str, now: datetime) -> bool:
    """End a video for good whose item was refused; False: it does not wait for this item."""
    videos = tables.videos
    ended = {
        "error_code": BLOCKED,
        "error_message": f"A reviewer did not allow this video: {why}",
        "completed_at": now,
        "expires_at": now + KEEP_REFUSED,
    }
    mine = and_(videos.c.id == video_id, *_waiting(generation_id))
    own = (videos.c.user_name, videos.c.files)
    row = connection.execute(update(videos).where(mine).values(ended).returning(*own)).one_or_none()
    if row is None:
        return False
    if HELD_FILE not in (row.files or {}):  # what waited was the request
        give_back(connection, video_id)
    refusals.count(connection, BLOCKED, now)
    write_events(connection, user=row.user_name, video_id=video_id, kind="video.failed", now=now)
    return True


def withdraw(connection: Connection, video_id: str, why: str, now: datetime, *, but: int | None = None) -> None:
    """Close what nobody needs to decide any more for a video: all that waits, or all but one item."""
    items, generations = tables.held_items, tables.generations
    waiting = and_(items.c.video_id == video_id, items.c.state == "waiting")
    if but is not None:
        waiting = and_(waiting, items.c.generation_id != but)
    closed = {"state": "refused", "decided_at": now, "decision_reason": why}
    ids = list(connection.scalars(update(items).where(waiting).values(closed).returning(items.c.generation_id)))
    if ids:
        held = and_(generations.c.id.in_(ids), generations.c.state == "held")
        connection.execute(update(generations).where(held).values(state="refused"))


def withdraw_strays(connection: Connection, now: datetime) -> None:
    """Close items whose video is gone: it was deleted while a worker was about to hold it."""
    videos, items = tables.videos, tables.held_items
    gone = ~exists(select(videos.c.id).where(videos.c.id == items.c.video_id))
    strays = select(items.c.video_id).where(items.c.state == "waiting", items.c.video_id.is_not(None), gone).distinct()
    for video_id in list(connection.scalars(strays)):
        withdraw(connection, video_id, "The video is gone.", now)


def take_files(connection: Connection) -> list[str]:
    """Take the files out of refused videos' rows, which are for nobody any more; the ids whose blobs are to go."""
    videos = tables.videos
    refused = and_(videos.c.status == "failed", videos.c.error_code == BLOCKED, videos.c.files.is_not(None))
    ids = list(connection.scalars(select(videos.c.id).where(refused).with_for_update()))
    connection.execute(update(videos).where(videos.c.id.in_(ids)).values(files=None))
    return ids


def _waiting(generation_id: ColumnElement[int] | int) -> tuple[ColumnElement[bool], ...]:
    videos = tables.videos
    return (
        videos.c.generation_id == generation_id,
        videos.c.status == "failed",
        videos.c.error_code == HELD,
    )
