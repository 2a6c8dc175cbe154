"""What Content Credentials cost a clip of 4 seconds: time to sign and to read back, and bytes.

    python benchmarks/credentials.py [--runs 9] [--size 854x480] [--home DIR]

The clip is synthetic and moving, encoded as every video of Hibari is. Rows: a plain generation, one from a start image,
an extension of a signed clip, and PNG and WebP stills. Each is the median of the runs, beside the time that encoding
the same clip took, because seconds alone say little on a machine that others use too; "cpu" is this process's own time.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import accounts
import numpy as np

from hibari.media.encode import write_still, write_video
from hibari.media.fit import Frame
from hibari.provenance.credentials.authority import Authority
from hibari.provenance.credentials.manifest import WATERMARK_ALGORITHM, Origin, Software, Source
from hibari.provenance.credentials.read import read
from hibari.provenance.credentials.sign import sign
from hibari.provenance.ids import GenerationId

SECONDS, FPS = 4, 24
MP4, PNG, WEBP = "video/mp4", "image/png", "image/webp"


def frames_of(width: int, height: int) -> list[Frame]:
    """Moving waves with a little noise, which compress about as a generated clip does."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0)
    frames = []
    for index in range(SECONDS * FPS):
        waves = [np.sin((columns + 3 * index) / 37), np.cos((rows - 2 * index) / 23), np.sin((rows + columns) / 51)]
        picture = 127 + 90 * np.stack(waves, -1) + noise.normal(0, 2, (height, width, 3))
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
    return frames


def origin(**changes: Any) -> Origin:
    """A new clip's."""
    usual = {
        "id": GenerationId.new(),
        "created_at": datetime.now(UTC),
        "action": "created",
        "software": Software(name="Hibari", version="0.1.0"),
        "model": "hibari-mini",
        "revision": "1",
        "watermark": WATERMARK_ALGORITHM,
        "seconds": float(SECONDS),
    }
    return Origin(**(usual | changes))


def median_ms(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """The medians of some runs in milliseconds: on the wall's clock, and of this process's own work."""
    walls, works = [], []
    for _ in range(runs):
        wall, own = time.perf_counter(), time.process_time()
        work()
        walls.append(1e3 * (time.perf_counter() - wall))
        works.append(1e3 * (time.process_time() - own))
    return statistics.median(walls), statistics.median(works)


def measure(authority: Authority, made: Origin, unsigned: Path, mime: str, runs: int) -> list[Any]:
    """One row: bytes before, bytes added, milliseconds to sign and to read, each on the wall and of its own."""
    signed = unsigned.with_name(f"signed-{unsigned.name}")
    signing = median_ms(lambda: sign(authority, made, unsigned, signed, mime), runs)
    anchors = authority.anchors()
    reading = median_ms(lambda: read(signed, mime, anchors), runs)
    found = read(signed, mime, anchors)
    assert found.state == "trusted", found
    before = unsigned.stat().st_size
    return [before, signed.stat().st_size - before, *signing, *reading]


def main() -> None:
    """Make, sign, read, and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--size", default="854x480")
    given = parser.parse_args()
    width, height = (int(side) for side in given.size.split("x"))
    frames = frames_of(width, height)
    with tempfile.TemporaryDirectory(dir=given.home) as name:
        folder = Path(name)
        opening = median_ms(lambda: Authority.open(folder / "credentials"), 1)
        authority = Authority.open(folder / "credentials")
        encoding = median_ms(lambda: write_video(folder / "a.mp4", frames, FPS), 1)
        write_still(folder / "a.png", frames[0], "PNG")
        write_still(folder / "a.webp", frames[0], "WEBP")
        image = Source(content=folder / "a.png", mime=PNG, relationship="inputTo", title="start image")
        rows = [["text to video", *measure(authority, origin(), folder / "a.mp4", MP4, given.runs)]]
        parent = Source(content=folder / "signed-a.mp4", mime=MP4, relationship="parentOf")
        for what, made, file, mime in (
            ("image to video", origin(sources=(image,)), "a.mp4", MP4),
            ("extension of a signed clip", origin(action="edited", sources=(parent,)), "a.mp4", MP4),
            ("PNG still", origin(seconds=0.0), "a.png", PNG),
            ("WebP still", origin(seconds=0.0), "a.webp", WEBP),
        ):
            rows.append([what, *measure(authority, made, folder / file, mime, given.runs)])
    facts = {
        "sign cpu ms, text to video": rows[0][4],
        "bytes added": rows[0][2],
        "encode cpu ms": encoding[1],
        "sign / encode, cpu": rows[0][4] / encoding[1],
        "first use of an authority, cpu ms": opening[1],
        "runs": given.runs,
    }
    head = ["file", "bytes", "added", "sign ms", "sign cpu ms", "read ms", "read cpu ms"]
    accounts.report(given.out / "credentials.json", head, rows, facts)


if __name__ == "__main__":
    main()
