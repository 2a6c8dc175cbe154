"""Hashes to and from the store. Ids of rows grow in the order in which rows appear, so that an index can follow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, insert, select, update

from hibari.provenance.fingerprint.frames import FrameHash
from hibari.provenance.ids import GenerationId
from hibari.store import tables

HASH_BYTES = 32
_AT_ONCE = 50_000  # rows fetched in one go


@dataclass(frozen=True, kw_only=True)
class State:
    """Where the table stands: the id that its next row gets, and a number that each erasure draws anew."""

    next_id: int
    erasure: int


@dataclass(frozen=True, kw_only=True)
class Hashes:
    """Rows that take part in matching, in the order of their ids, as arrays of one length.

    `bits` uint8 (n, 32), `generations` uint64, `seconds` float32.
    """

    bits: np.ndarray
    generations: np.ndarray
    seconds: np.ndarray


NO_HASHES = Hashes(
    bits=np.empty((0, HASH_BYTES), np.uint8),
    generations=np.empty(0, np.uint64),
    seconds=np.empty(0, np.float32),
)


def write_hashes(connection: Connection, generation: GenerationId, hashes: Sequence[FrameHash]) -> None:
    """Insert the hashes of a generation."""
    if not hashes:
        return
    state = tables.fingerprint_state
    # This update waits for whoever is adding rows now, so rows become visible in the order of their ids.
    connection.execute(update(state).values(next_id=state.c.next_id + len(hashes)))
    first = read_state(connection).next_id - len(hashes)
    rows = [
        {
            "id": first + number,
            "generation_id": generation.value,
            "seconds": each.seconds,
            "bits": each.bits,
            "quality": each.quality,
            "left_out": each.left_out,
        }
        for number, each in enumerate(hashes)
    ]
    connection.execute(insert(tables.fingerprints), rows)


def read_state(connection: Connection) -> State:
    """Where the table stands, as this connection sees it."""
    row = connection.execute(select(tables.fingerprint_state)).one()
    return State(next_id=row.next_id, erasure=row.erasure)


def read_hashes(connection: Connection, first: int) -> Hashes:
    """The rows that take part in matching, from the id `first` on."""
    table = tables.fingerprints
    query = select(table.c.bits, table.c.generation_id, table.c.seconds)
    query = query.where(table.c.id >= first, table.c.left_out == "").order_by(table.c.id)
    parts = [NO_HASHES]
    for rows in connection.execute(query.execution_options(yield_per=_AT_ONCE)).partitions():
        bits, generations, seconds = zip(*rows, strict=True)
        parts.append(
            Hashes(
                bits=np.frombuffer(b"".join(bits), np.uint8).reshape(-1, HASH_BYTES),
                generations=np.array(generations, np.uint64),
                seconds=np.array(seconds, np.float32),
            )
        )
    return joined(parts)


def joined(parts: Sequence[Hashes]) -> Hashes:
    """Several runs of rows as one."""
    return Hashes(
        bits=np.concatenate([part.bits for part in parts]),
        generations=np.concatenate([part.generations for part in parts]),
        seconds=np.concatenate([part.seconds for part in parts]),
    )
