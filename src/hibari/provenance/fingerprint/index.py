"""Search among all hashes of the store: exact, over faiss, and never behind the table.

Each search first asks the table's state (one row): new rows are read and added, and after an erasure all are read
anew. A saved file spares a new process the reading; one that does not fit the table is thrown away.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import faiss
import numpy as np
from sqlalchemy import Connection, select

from hibari.provenance.fingerprint import saved
from hibari.provenance.fingerprint.frames import MAX_DISTANCE, STEP_S, FrameHash
from hibari.provenance.fingerprint.rows import (
    HASH_BYTES,
    NO_HASHES,
    Hashes,
    State,
    joined,
    read_hashes,
    read_state,
)
from hibari.provenance.ids import GenerationId
from hibari.store import Store, tables

MIN_VOTES = 3
SAVE_AFTER = 10_000  # rows that were read from the table before the file is written again
_NOTHING_READ = State(next_id=0, erasure=-1)


@dataclass(frozen=True, kw_only=True)
class Resemblance:
    """A generation that a clip looks like, which says nothing about where the clip comes from.

    `votes` of `asked` seconds of the clip have a frame of the generation at the same offset: second 0 of the clip
    lies at `offset_s` of the generation. `distance` is their mean in bits (0 to 31).
    """

    id: GenerationId
    votes: int
    asked: int
    distance: float
    offset_s: float
    mirrored: bool


@dataclass(frozen=True, kw_only=True)
class _Hits:
    """Pairs of a query and a row within MAX_DISTANCE, as arrays of one length."""

    runs: np.ndarray  # which generation, by its run of rows
    mirrored: np.ndarray
    asked: np.ndarray  # the second in the clip
    found: np.ndarray  # the second in the generation
    distances: np.ndarray

    def at(self, which: np.ndarray) -> "_Hits":
        return _Hits(**{name: array[which] for name, array in vars(self).items()})


class FingerprintIndex:
    """All hashes of a store that take part in matching. Safe to use from several threads."""

    def __init__(self, store: Store, file: Path | None = None) -> None:
        self._store = store
        self._file = file
        self._lock = threading.Lock()
        self._unsaved = 0
        self._take(NO_HASHES, _NOTHING_READ)

    @classmethod
    def open(cls, store: Store, file: Path | None = None) -> Self:
        """The index of a store, from its saved `file` as far as that fits; raises StoreError, OutputError."""
        index = cls(store, file)
        index.refresh()
        return index

    def __len__(self) -> int:
        return len(self._hashes.generations)

    def __contains__(self, generation: GenerationId) -> bool:
        """Whether there is a hash of this generation that takes part in matching."""
        return bool((self._hashes.generations == generation.value).any())

    def refresh(self) -> None:
        """Meet the table's state, and save where much was read; raises StoreError, OutputError."""
        with self._lock:
            self._refresh()

    def search(self, hashes: Sequence[FrameHash], limit: int = 5) -> list[Resemblance]:
        """What a clip (`hashes_of`) resembles, also mirrored: most votes first. Raises StoreError.

        A resemblance needs three seconds that agree on an offset, or all that the clip or the generation has.
        """
        queries = [each for each in hashes if not each.left_out]
        if not queries:
            return []
        with self._lock:
            self._refresh()
            hits = self._hits(queries)
            found = list(self._resemblances(hits, len({each.seconds for each in queries})))
        return sorted(found, key=lambda each: (-each.votes, each.distance))[:limit]

    def _refresh(self) -> None:
        with self._store.reading() as connection:
            state = read_state(connection)
            if state == self._state:
                return
            if self._state is _NOTHING_READ and self._file is not None:
                self._load(connection, self._file, state)
            grown = self._state.erasure == state.erasure and self._state.next_id <= state.next_id
            base, first = (self._hashes, self._state.next_id) if grown else (NO_HASHES, 0)
            new = read_hashes(connection, first)
        self._take(joined([base, new]), state)
        self._unsaved += len(new.generations)
        # After an erasure at once: the old file holds what was erased.
        if self._file is not None and (not grown or self._unsaved >= SAVE_AFTER or not self._file.exists()):
            saved.save(self._file, self._hashes, self._state)
            self._unsaved = 0

    def _load(self, connection: Connection, file: Path, state: State) -> None:
        """Take the saved rows where they are a beginning of the table."""
        kept = saved.load(file)
        if kept is None:
            file.unlink(missing_ok=True)
            return
        hashes, then = kept
        if then.erasure == state.erasure and then.next_id <= state.next_id and _same_end(connection, hashes, then):
            self._take(hashes, then)
        else:
            file.unlink()

    def _take(self, hashes: Hashes, state: State) -> None:
        self._hashes, self._state = hashes, state
        self._flat = faiss.IndexBinaryFlat(8 * HASH_BYTES)
        self._flat.add(np.ascontiguousarray(hashes.bits))
        # Rows of one generation were written together, so they stand together.
        changes = np.flatnonzero(np.diff(hashes.generations, prepend=np.uint64(2**63)))
        self._starts = np.append(changes, len(hashes.generations))

    def _hits(self, queries: list[FrameHash]) -> _Hits:
        bits = b"".join(each.bits for each in queries) + b"".join(each.mirrored for each in queries)
        limits, distances, rows = self._flat.range_search(
            np.frombuffer(bits, np.uint8).reshape(-1, HASH_BYTES), MAX_DISTANCE + 1
        )
        lengths: np.ndarray = limits[1:] - limits[:-1]
        query = np.repeat(np.arange(2 * len(queries)), lengths.astype(np.int64))
        seconds = np.array([each.seconds for each in queries], np.float32)
        return _Hits(
            runs=np.searchsorted(self._starts, rows, side="right") - 1,
            mirrored=query >= len(queries),
            asked=seconds[query % len(queries)],
            found=self._hashes.seconds[rows],
            distances=distances,
        )

    def _resemblances(self, hits: _Hits, asked: int) -> Iterator[Resemblance]:
        """The generations with enough votes, each with its best offset."""
        kinds = 2 * hits.runs + hits.mirrored
        order = np.argsort(kinds, kind="stable")
        edges = np.flatnonzero(np.diff(kinds[order], prepend=-1, append=-1))
        best: dict[int, Resemblance] = {}
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            group = hits.at(order[start:end])
            run = int(group.runs[0])
            rows = slice(self._starts[run], self._starts[run + 1])
            needed = min(MIN_VOTES, asked, len(np.unique(self._hashes.seconds[rows])))
            if len(group.runs) < needed:
                continue
            one = _best_offset(group, GenerationId(int(self._hashes.generations[rows][0])), asked)
            if one.votes >= needed and (run not in best or one.votes > best[run].votes):
                best[run] = one
        yield from best.values()


def _best_offset(group: _Hits, generation: GenerationId, asked: int) -> Resemblance:
    """The offset that most seconds of the clip agree on, within one step."""
    offsets = group.found - group.asked
    # A vote goes to the step that its offset falls in and to the one before: a true offset may lie on an edge.
    steps = np.floor(offsets / STEP_S + 1e-4).astype(np.int64)
    candidates = np.unique(np.concatenate([steps, steps - 1]))
    best: tuple[int, float, float] | None = None
    for candidate in candidates.tolist():
        inside = (steps == candidate) | (steps == candidate + 1)
        distances: dict[float, int] = {}
        for second, distance in zip(group.asked[inside].tolist(), group.distances[inside].tolist(), strict=True):
            distances[second] = min(distance, distances[second]) if second in distances else distance
        mean = sum(distances.values()) / len(distances)
        if best is None or (-len(distances), mean) < (-best[0], best[1]):
            best = len(distances), mean, float(np.median(offsets[inside]))
    assert best is not None, "a group has at least one hit"
    return Resemblance(
        id=generation,
        votes=best[0],
        asked=asked,
        distance=best[1],
        offset_s=best[2],
        mirrored=bool(group.mirrored[0]),
    )


def _same_end(connection: Connection, hashes: Hashes, then: State) -> bool:
    """Whether the last saved row is still that row of the table: a database put back from a backup may have another."""
    table = tables.fingerprints
    query = select(table.c.generation_id, table.c.bits).where(table.c.id < then.next_id, table.c.left_out == "")
    row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).first()
    if row is None or not len(hashes.generations):
        return row is None and not len(hashes.generations)
    return bool(row.generation_id == hashes.generations[-1] and row.bits == hashes.bits[-1].tobytes())
