"""Between the records of the ledger and the rows of the store: the one place that knows both."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger.entry import Delivery, Entry, Making, Screening, Source
from hibari.store import tables

_BATCH = 500  # ids in one query; SQLite takes at most 32766 values


def write_entry(connection: Connection, entry: Entry) -> None:
    """Insert an entry and all that belongs to it, but for its fingerprints."""
    own = asdict(entry.making) | asdict(entry.delivery)
    for name in ("created_at", "request", "seed", "model", "revision", "weights_sha256", "watermark_key", "state"):
        own[name] = getattr(entry, name)
    own |= {"id": entry.id.value, "user_name": entry.user, "replay_of": _value(entry.replay_of)}
    connection.execute(insert(tables.generations).values(own))
    manifest = {"generation_id": entry.id.value, "data": entry.manifest, "timestamped": entry.timestamped}
    connection.execute(insert(tables.manifests).values(manifest))
    if entry.sources:
        rows = [
            vars(source) | {"generation_id": entry.id.value, "position": position, "own_id": _value(source.own_id)}
            for position, source in enumerate(entry.sources)
        ]
        connection.execute(insert(tables.sources), rows)
    assert entry.user is not None
    write_screenings(connection, entry.id, entry.user, entry.created_at, entry.screenings)


def write_screenings(
    connection: Connection, generation: GenerationId, user: str, at: datetime, screenings: Sequence[Screening]
) -> None:
    """Insert what the safety policy said of a request or its frames."""
    if screenings:
        head = {"generation_id": generation.value, "user_name": user, "created_at": at}
        connection.execute(insert(tables.verdicts), [head | vars(screening) for screening in screenings])


def read_entries(connection: Connection, rows: Iterable[Row[Any]]) -> list[Entry]:
    """The entries of rows of `generations`, in their order, with all that belongs to them."""
    rows = list(rows)
    entries = []
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        ids = [row.id for row in batch]
        manifests = {row.generation_id: row for row in _belonging(connection, tables.manifests, ids)}
        sources = _grouped(_belonging(connection, tables.sources, ids, tables.sources.c.position))
        verdicts = _grouped(_belonging(connection, tables.verdicts, ids, tables.verdicts.c.id))
        for row in batch:
            belongings = manifests[row.id], sources.get(row.id, []), verdicts.get(row.id, [])
            entries.append(_entry(row, *belongings))
    return entries


def screening_of(row: Row[Any]) -> Screening:
    """A row of `verdicts` as a record."""
    return Screening(**{name: getattr(row, name) for name in ("stage", "action", "categories", "reason", "advice")})


def _belonging(connection: Connection, table: Any, ids: list[int], *order: Any) -> Iterable[Row[Any]]:
    return connection.execute(select(table).where(table.c.generation_id.in_(ids)).order_by(*order))


def _grouped(rows: Iterable[Row[Any]]) -> dict[int, list[Row[Any]]]:
    groups: dict[int, list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault(row.generation_id, []).append(row)
    return groups


def _entry(row: Row[Any], manifest: Row[Any], sources: list[Row[Any]], verdicts: list[Row[Any]]) -> Entry:
    return Entry(
        id=GenerationId(row.id),
        created_at=row.created_at,
        user=row.user_name,
        request=row.request,
        seed=row.seed,
        model=row.model,
        revision=row.revision,
        weights_sha256=row.weights_sha256,
        making=Making(**{name: getattr(row, name) for name in Making.__dataclass_fields__}),
        delivery=Delivery(**{name: getattr(row, name) for name in Delivery.__dataclass_fields__}),
        watermark_key=row.watermark_key,
        manifest=manifest.data,
        timestamped=manifest.timestamped,
        sources=tuple(_source(source) for source in sources),
        screenings=tuple(screening_of(verdict) for verdict in verdicts),
        replay_of=GenerationId(row.replay_of) if row.replay_of is not None else None,
        state=row.state,
        erased_at=row.erased_at,
    )


def _source(row: Row[Any]) -> Source:
    return Source(
        sha256=row.sha256,
        relationship=row.relationship,
        mime=row.mime,
        title=row.title,
        own_id=GenerationId(row.own_id) if row.own_id is not None else None,
        consent=row.consent,
    )


def _value(generation: GenerationId | None) -> int | None:
    return generation.value if generation is not None else None
