"""The review queue: what the safety policy held, and what a person decided about it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, case, insert, select, tuple_, update

from hibari.errors import InvalidRequest
from hibari.provenance.ids import GenerationId
from hibari.store import Store, holds, tables
from hibari.store.database import database_clock

Word = Literal["allowed", "refused"]
ReviewState = Literal["waiting", "allowed", "refused"]


@dataclass(frozen=True, kw_only=True)
class HeldItem:
    """A request held before its generation (`file` is None), or a file held after it.

    `id` is the id that the generation has or will have. A request that was allowed and whose frames are held then has
    two items under one id, of which the later one counts. `file` is relative to the data folder, or a blob where a
    `video` of the service waits for this. `reviewer`, `decided_at` and `decision_reason` are None while it waits;
    `reviewer` stays None where nobody decided before the video was gone.
    """

    id: GenerationId
    created_at: datetime
    user: str
    stage: str
    request: dict[str, Any]
    categories: dict[str, float]
    reason: str
    file: str | None = None
    video: str | None = None
    state: ReviewState = "waiting"
    reviewer: str | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The item as plain values, for JSON."""
        moments = {"created_at": self.created_at.isoformat()}
        if self.decided_at is not None:
            moments["decided_at"] = self.decided_at.isoformat()
        return vars(self) | {"id": str(self.id)} | moments


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """A reviewer's word on a held item: what, who says so, and why; raises InvalidRequest where one is empty."""

    decision: Word
    reviewer: str
    note: str

    def __post_init__(self) -> None:
        assert self.decision in get_args(Word), self.decision
        for option, text in (("reviewer", self.reviewer), ("note", self.note)):
            if not text.strip():
                raise InvalidRequest("it is empty.", option=option, hint="A decision has a reviewer and a reason.")


def _nothing(_: Connection) -> None:
    """What else belongs to a decision where nothing does."""


class Reviews:
    """The held items of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def hold(self, item: HeldItem) -> None:
        """Put a request into the queue; a finished file comes in with its entry (`Ledger.record`)."""
        with self._store.writing() as connection:
            write_item(connection, item)

    def find(self, generation: GenerationId) -> HeldItem | None:
        """The item of that id, the later one where there are two; raises StoreError."""
        with self._store.reading() as connection:
            row = _row(connection, generation)
        return item_of(row) if row is not None else None

    def allowed(self, generation: GenerationId) -> HeldItem | None:
        """What a reviewer let through under an id: its file, or else its request; raises StoreError."""
        with self._store.reading() as connection:
            row = _row(connection, generation, tables.held_items.c.state == "allowed")
        return item_of(row) if row is not None else None

    def waiting(self, limit: int = 100, user: str | None = None) -> list[HeldItem]:
        """The items that nobody decided yet, oldest first, of one user where one is named; raises StoreError."""
        table = tables.held_items
        query = select(table).where(holds.is_open()).order_by(table.c.created_at, table.c.generation_id)
        if user is not None:
            query = query.where(table.c.user_name == user)
        with self._store.reading() as connection:
            return [item_of(row) for row in connection.execute(query.limit(limit))]

    def of_videos(self, *, limit: int, after: HeldItem | None, order: Literal["asc", "desc"]) -> list[HeldItem]:
        """The items that videos of the service wait for, past one of them; raises StoreError."""
        table = tables.held_items
        place = (table.c.created_at, table.c.generation_id)
        query = select(table).where(holds.is_open(), table.c.video_id.is_not(None)).limit(limit)
        if after is not None:
            last = (after.created_at, after.id.value)
            query = query.where(tuple_(*place) > last if order == "asc" else tuple_(*place) < last)
        query = query.order_by(*(column.asc() if order == "asc" else column.desc() for column in place))
        with self._store.reading() as connection:
            return [item_of(row) for row in connection.execute(query)]

    def decide(
        self, generation: GenerationId, ruling: Ruling, also: Callable[[Connection], None] = _nothing
    ) -> HeldItem:
        """Decide a waiting item, once, with the state of its generation where that is recorded, and its video's.

        `also` is done in the same transaction. Raises InvalidRequest where it is not held or decided already, by
        whomever; StoreError. A held request of the command line that is allowed is decided with the record of what was
        made of it (`Ledger.record`).
        """
        with self._store.writing() as connection:
            row = _row(connection, generation)
            video = row.video_id if row is not None else None
            if video is not None and not _told(connection, video, generation, ruling):
                raise _undecidable(connection, generation)
            write_ruling(connection, generation, ruling)
            also(connection)
            row = _row(connection, generation)
        assert row is not None
        return item_of(row)

    def undecidable(self, generation: GenerationId) -> InvalidRequest:
        """Why an item cannot be decided, as the error to raise; raises StoreError."""
        with self._store.reading() as connection:
            return _undecidable(connection, generation)


def write_ruling(connection: Connection, generation: GenerationId, ruling: Ruling) -> None:
    """Write a decision on what waits under an id; raises InvalidRequest where nothing does."""
    table, entries = tables.held_items, tables.generations
    decided = {"state": ruling.decision, "reviewer": ruling.reviewer, "decided_at": datetime.now(UTC)}
    waiting = update(table).where(table.c.generation_id == generation.value, table.c.state == "waiting")
    if connection.execute(waiting.values(decided | {"decision_reason": ruling.note})).rowcount != 1:
        raise _undecidable(connection, generation)
    state = "delivered" if ruling.decision == "allowed" else "refused"
    connection.execute(update(entries).where(entries.c.id == generation.value).values(state=state))


def _told(connection: Connection, video: str, generation: GenerationId, ruling: Ruling) -> bool:
    """Whether the video of an item waits for it, and then knows what was decided."""
    if ruling.decision == "allowed":
        return holds.go_on(connection, video, generation.value)
    return holds.refuse(connection, video, generation.value, ruling.note, database_clock(connection))


def write_item(connection: Connection, item: HeldItem) -> None:
    """Insert an item into the queue."""
    assert item.state == "waiting" and item.reviewer is None, item
    values = vars(item) | {"generation_id": item.id.value, "user_name": item.user, "video_id": item.video}
    connection.execute(insert(tables.held_items).values({column: values[column] for column in _COLUMNS}))


def item_of(row: Row[Any]) -> HeldItem:
    """A row of `held_items` as a record."""
    values = row._asdict()
    id, user = GenerationId(values.pop("generation_id")), values.pop("user_name")
    return HeldItem(id=id, user=user, video=values.pop("video_id"), **values)


_COLUMNS = tables.held_items.columns.keys()


def _row(connection: Connection, generation: GenerationId, *such: ColumnElement[bool]) -> Row[Any] | None:
    table = tables.held_items
    later_first = case((table.c.file.is_(None), 1), else_=0)  # what is held with its file was held after its request
    query = select(table).where(table.c.generation_id == generation.value, *such).order_by(later_first)
    return connection.execute(query).first()


def _undecidable(connection: Connection, generation: GenerationId) -> InvalidRequest:
    row = _row(connection, generation)
    if row is None:
        return InvalidRequest(f"{generation} is not held.", option="id", hint="`hibari review list` shows what is.")
    if row.state == "waiting":
        return InvalidRequest(
            f"The video of {generation} does not wait for it just now.", option="id", hint="Look again."
        )
    by = f" by {row.reviewer}" if row.reviewer else ""
    at, note = f"{row.decided_at:%Y-%m-%d %H:%M} UTC", row.decision_reason.rstrip(".")
    return InvalidRequest(
        f"{generation} was {row.state}{by} already, at {at}: {note}.",
        option="id",
        hint="A decision stands; the request can be made anew.",
    )
