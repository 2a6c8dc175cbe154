"""How long `hibari verify` takes to say that a foreign clip of 10 seconds was not made here.

    python benchmarks/foreign.py [--runs 3] [--size 854x480] [--keys 12] [--home DIR]

The clip is a rendered scene at 24 frames a second that nobody marked. It is looked at with as many watermark keys as
`--keys` says: an installation has one for each month. The whole command is timed, beside the encoding of that clip.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import accounts

from hibari.media.encode import write_video
from hibari.media.fit import fit
from hibari.provenance.places import KEYS
from hibari.provenance.watermark.keys import KeyRing
from hibari.request import Size
from hibari.shapes import VideoShape
from hibari.worlds import World

SECONDS, FPS, NOTHING = 10, 24, 1


def main() -> None:
    """Make a clip and a data folder with keys, and ask."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", default="854x480")
    parser.add_argument("--keys", type=int, default=12)
    given = parser.parse_args()
    size = Size.parse(given.size)
    with tempfile.TemporaryDirectory() as folder:
        home, clip = Path(folder) / "home", Path(folder) / "clip.mp4"
        ring = KeyRing.open(home / KEYS)
        for month in range(given.keys):
            ring.current(datetime(2025 + month // 12, month % 12 + 1, 1, tzinfo=UTC))
        frames = [
            fit(f, size.width, size.height) for f in World().scene(1, VideoShape(SECONDS * FPS, 112, 192)).render()
        ]
        start = time.perf_counter()
        write_video(clip, iter(frames), FPS)
        encoding = time.perf_counter() - start
        rows = [_verify(clip, home, encoding) for _ in range(given.runs)]
    facts = {
        "size": given.size,
        "keys": given.keys,
        "worst run, s": max(row[0] for row in rows),
        "encoding the clip, s": encoding,
    }
    accounts.report(given.out / "foreign.json", ("wall s", "cpu s", "times the encoding"), rows, facts)


def _verify(clip: Path, home: Path, encoding: float) -> tuple[float, float, float]:
    """Wall time, processor time of all its processes, and the wall time as a ratio to the encoding."""
    command = [sys.executable, "-m", "hibari", "verify", str(clip), "--home", str(home)]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, os.times()
    assert done.returncode == NOTHING, done.stdout + done.stderr
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, wall / encoding


if __name__ == "__main__":
    main()
