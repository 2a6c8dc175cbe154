"""Fingerprints: which copies of a clip they still find, and how long a search among a million hashes takes.

    python benchmarks/fingerprints.py [--clips 8] [--hashes 1000000] [--threads 2] [--size 416x240] [--home DIR]

Recall: rendered worlds clips are recorded, then searched for after each attack of `attacks.py`. "frames" is the share
of a copy's hashes that lie within 31 bits of the right clip, "found" the share of copies for which the right clip
comes first, "wrong" the number of other clips that are named at all.

Search: random hashes, 20 for each generation, in a SQLite store. A search includes asking the table for its state.
"wall" is the best of the runs, on a machine that others may be using; "cpu" is the processor time of the same run over
all threads. The plain comparison in numpy is there for scale.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import accounts
import faiss
import numpy as np
from attacks import ATTACKS, Copy
from sqlalchemy import insert

from hibari.provenance.fingerprint import FingerprintIndex, FrameHash, hashes_of, index
from hibari.provenance.fingerprint.rows import write_hashes
from hibari.provenance.ids import GenerationId
from hibari.request import Size
from hibari.shapes import VideoShape
from hibari.store import Store, tables
from hibari.worlds import World

SECONDS, FPS = 3, 12
PER_GENERATION = 20
AT_ONCE = 500  # generations written in one transaction
TARGET_MS = 50.0
RUNS = 7


def main() -> None:
    """Measure, and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=Size.parse, default=Size(416, 240))
    given = parser.parse_args()
    faiss.omp_set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = recall(Path(folder) / "clips.db", given.clips, given.size)
        facts = search(Path(folder) / "many.db", given.hashes)
    facts |= {"clips": given.clips, "size": str(given.size), "search threads": given.threads, "target, ms": TARGET_MS}
    head = ("attack", "hashes", "frames", "found", "wrong")
    accounts.report(given.out / "fingerprints.json", head, rows, facts)


def recall(path: Path, clips: int, size: Size) -> list[tuple[str, int, float, float, int]]:
    """A row for each attack."""
    world, shape = World(), VideoShape(SECONDS * FPS + 1, size.height, size.width)
    originals = [world.scene(seed, shape, FPS).render() for seed in range(clips)]
    rows = []
    with Store.open(path) as store:
        for number, frames in enumerate(originals):
            record(store, [GenerationId(number)], [hashes_of(frames, FPS)])
        every = FingerprintIndex.open(store)
        for name, attack in ATTACKS.items():
            asked = near = first = wrong = 0
            for number, frames in enumerate(originals):
                copy = attack(Copy(frames=frames, fps=FPS))
                hashes = hashes_of(copy.frames, copy.fps)
                asked += len({each.seconds for each in hashes})
                near += sum(is_near(every, hashes, number))
                named = [each.id.value for each in every.search(hashes, limit=clips)]
                first += named[:1] == [number]
                wrong += len(set(named) - {number})
            rows.append((name, asked, near / max(asked, 1), first / clips, wrong))
    return rows


def is_near(every: FingerprintIndex, hashes: list[FrameHash], number: int) -> list[bool]:
    """For each second of a copy, whether one frame of it alone leads to the clip."""
    seconds = sorted({each.seconds for each in hashes})
    alone = [[each for each in hashes if each.seconds == second] for second in seconds]
    return [any(found.id.value == number for found in every.search(one, limit=1000)) for one in alone]


def record(store: Store, ids: list[GenerationId], hashes: list[list[FrameHash]]) -> None:
    """The least that hashes need: a row of each generation."""
    blank = "0" * 64
    row: dict[str, Any] = {
        "created_at": datetime.now(UTC),
        "model": "",
        "revision": "",
        "device": "",
        "dtype": "",
        "threads": 1,
        "file_bytes": 0,
        "mime": "",
        "width": 0,
        "height": 0,
        "fps": 0.0,
        "frames": 0,
        "watermark_key": "",
        "state": "delivered",
    } | {f"{what}_sha256": blank for what in ("weights", "latents", "frames", "file")}
    with store.writing() as connection:
        connection.execute(insert(tables.generations), [row | {"id": each.value} for each in ids])
        for each, own in zip(ids, hashes, strict=True):
            write_hashes(connection, each, own)


def search(path: Path, count: int) -> dict[str, Any]:
    """Times of reading, saving, loading and searching so many hashes."""
    rng, file = np.random.default_rng(0), path.with_suffix(".npz")
    bits = rng.integers(0, 256, (count, 32), np.uint8)
    with Store.open(path) as store:
        fill(store, bits)
        every, reading = timed(lambda: FingerprintIndex.open(store, file), 1)
        _, loading = timed(lambda: FingerprintIndex.open(store, file), 3)
        facts: dict[str, Any] = {"hashes": len(every), "saved file, MB": file.stat().st_size / 1e6}
        facts |= times("first reading of the table", reading) | times("loading the saved file", loading)
        for name, seconds in (("one frame", 1), ("a clip of 4 s", 9), ("a clip of 10 s", 21)):
            start = PER_GENERATION * int(rng.integers(count // PER_GENERATION))
            asked = [a_copy(bits[(start + n) % count], 0.5 * n, rng) for n in range(seconds)]
            found, spent = timed(lambda asked=asked: every.search(asked), RUNS)  # type: ignore[misc]
            assert found[0].id.value == start // PER_GENERATION, "the search finds what it must"
            facts |= times(f"search for {name}", spent)
        words, one = bits.view(np.uint64), bits[0].view(np.uint64)
        _, plain = timed(lambda: np.flatnonzero(np.bitwise_count(words ^ one).sum(axis=1) <= index.MAX_DISTANCE), 3)
        return facts | times("one hash compared in numpy", plain)


def fill(store: Store, bits: np.ndarray) -> None:
    """Write hashes as generations do."""
    generations = range(0, len(bits), PER_GENERATION)
    for first in range(0, len(generations), AT_ONCE):
        batch = generations[first : first + AT_ONCE]
        hashes = [
            [
                FrameHash(seconds=0.5 * n, bits=row.tobytes(), mirrored=b"", quality=100)
                for n, row in enumerate(bits[start : start + PER_GENERATION])
            ]
            for start in batch
        ]
        record(store, [GenerationId(start // PER_GENERATION) for start in batch], hashes)


def a_copy(row: np.ndarray, seconds: float, rng: np.random.Generator) -> FrameHash:
    """A hash 12 bits away, with a mirror image that is nowhere."""
    flips = np.zeros(256, np.uint8)
    flips[rng.choice(256, 12, replace=False)] = 1
    changed = (row ^ np.packbits(flips)).tobytes()
    return FrameHash(seconds=seconds, bits=changed, mirrored=rng.bytes(32), quality=100)


def timed(work: Callable[[], Any], runs: int) -> tuple[Any, tuple[float, float]]:
    """What it gives, and the wall and processor milliseconds of the run that took the least wall time."""
    spent = []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        spent.append(((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3))
    return result, min(spent)


def times(name: str, spent: tuple[float, float]) -> dict[str, float]:
    return {f"{name}, ms wall": spent[0], f"{name}, ms cpu": spent[1]}


if __name__ == "__main__":
    main()
