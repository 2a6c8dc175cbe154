"""Files to frames: other people's pictures and videos, read in a child process with limits."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from hibari.errors import BadMedia
from hibari.media.fit import Frame


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one file may cost: wall-clock seconds, bytes of address space, pixels of a frame."""

    seconds: float = 30.0
    memory: int = 3 << 30
    pixels: int = 50_000_000


DEFAULT = Limits()


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """What a file holds. `frames` and `fps` are 0 where the file does not say."""

    kind: Literal["still", "video"]
    codec: str
    width: int
    height: int
    fps: float
    frames: int


def probe(path: Path, limits: Limits = DEFAULT) -> MediaInfo:
    """What a picture or video is; raises BadMedia."""
    with reading(path, 0, limits) as (info, _):
        return info


def read_image(path: Path, limits: Limits = DEFAULT) -> Frame:
    """A picture's pixels, upright and on white where it is see-through; raises BadMedia, also for a video."""
    with reading(path, 1, limits) as (info, frames):
        if info.kind != "still":
            raise BadMedia(f"{path.name} is a video.", hint="A picture is wanted here: PNG, JPEG or WebP.")
        return next(frames)


def read_video(path: Path, max_frames: int, limits: Limits = DEFAULT) -> tuple[MediaInfo, list[Frame]]:
    """The first frames of a video (or the one of a picture), upright; raises BadMedia."""
    with reading(path, max_frames, limits) as (info, frames):
        return info, list(frames)


@contextmanager
def reading(path: Path, max_frames: int, limits: Limits) -> Iterator[tuple[MediaInfo, Iterator[Frame]]]:
    """What a picture or video is, and its frames as they arrive, upright; both raise BadMedia.

    For files that are too long to hold: the frames end with the block.
    """
    if not path.is_file():
        raise BadMedia(f"{path}: no such file.", hint="Give a picture or a video.")
    task = asdict(limits) | {"path": str(path.absolute()), "frames": max_frames, "cpu": int(limits.seconds) + 1}
    child = subprocess.Popen(
        [sys.executable, "-m", "hibari.media.reader", json.dumps(task)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # damaged files make the decoders talk; the answer says what matters
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a pool of threads would eat the address space
        start_new_session=True,  # so that Ctrl-C reaches us alone, and we end the child
    )
    assert child.stdout is not None
    alarm = threading.Timer(limits.seconds, child.kill)
    alarm.start()
    try:
        info = _head(path, child.stdout, alarm)
        yield info, _frames(path, child.stdout, info, max_frames)
    finally:
        alarm.cancel()
        child.kill()
        child.stdout.close()
        child.wait()


def _head(path: Path, pipe: IO[bytes], alarm: threading.Timer) -> MediaInfo:
    line = pipe.readline()
    if not line:
        reason = "reading it takes too long" if alarm.finished.is_set() else "reading it failed"
        raise BadMedia(f"{path}: {reason}.", hint="Is it a picture or a video, and whole?")
    head: dict[str, Any] = json.loads(line)
    if "error" in head:
        raise BadMedia(f"{path}: {head['error']}.")
    return MediaInfo(**head)


def _frames(path: Path, pipe: IO[bytes], info: MediaInfo, max_frames: int) -> Iterator[Frame]:
    size = info.width * info.height * 3
    for index in range(max_frames):
        data = pipe.read(size)
        if len(data) == size:
            yield np.frombuffer(data, np.uint8).reshape(info.height, info.width, 3)
        elif not data and index > 0:
            return
        else:
            raise BadMedia(f"{path}: damaged at frame {index}.")
