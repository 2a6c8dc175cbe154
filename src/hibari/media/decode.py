"""Files to frames: other people's pictures and videos, read in a child process with limits."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hibari.errors import BadMedia
from hibari.media import child
from hibari.media.child import DEFAULT, Limits
from hibari.media.fit import Frame


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
def reading(
    path: Path, max_frames: int, limits: Limits, *, a_second: float | None = None
) -> Iterator[tuple[MediaInfo, Iterator[Frame]]]:
    """What a picture or video is, and its frames as they arrive, upright; both raise BadMedia.

    For files that are too long to hold: the frames end with the block. With `a_second` that many of each second's
    frames come, evenly spread, or all where there are fewer. The limit of seconds counts waiting for the child alone,
    and not what is done with a frame before the next one is asked for.
    """
    _check_file(path)
    task = {"path": str(path.absolute()), "frames": max_frames, "a_second": a_second}
    process = child.start("hibari.media.reader", task, limits)
    assert process.stdout is not None
    try:
        reader = _Reader(path, process, _Patience(limits.seconds, process))
        info = reader.head()
        yield info, reader.frames(info, max_frames)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _check_file(path: Path) -> None:
    """Raise BadMedia for what no decoder has to be asked about."""
    try:
        if path.is_dir():
            raise BadMedia(f"{path} is a folder.", hint="Give a picture or a video.")
        if not path.exists():
            raise BadMedia(f"{path}: no such file.", hint="Give a picture or a video.")
        if not path.is_file():
            raise BadMedia(f"{path} is no file but a device or a pipe.", hint="Give a picture or a video.")
        with path.open("rb") as file:
            if not file.read(1):
                raise BadMedia(f"{path} is empty.", hint="Give a picture or a video.")
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise BadMedia(f"{path} cannot be read ({reason}).", hint="Give a picture or a video.") from error


@dataclass
class _Patience:
    """How long a child is still waited for; it is killed where that ends."""

    seconds: float
    process: subprocess.Popen[bytes]
    ended: bool = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        alarm = threading.Timer(max(0.0, self.seconds), self._end)
        started = time.monotonic()
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()
            self.seconds -= time.monotonic() - started

    def _end(self) -> None:
        self.ended = True
        self.process.kill()


@dataclass(frozen=True)
class _Reader:
    """Our end of a child that reads a file."""

    path: Path
    process: subprocess.Popen[bytes]
    patience: _Patience

    def head(self) -> MediaInfo:
        assert self.process.stdout is not None
        with self.patience.waiting():
            line = self.process.stdout.readline()
        if not line:
            reason = "reading it takes too long" if self.patience.ended else "reading it failed"
            raise BadMedia(f"{self.path}: {reason}.", hint="Is it a picture or a video, and whole?")
        head: dict[str, Any] = json.loads(line)
        if "error" in head:
            raise BadMedia(f"{self.path}: {head['error']}.")
        return MediaInfo(**head)

    def frames(self, info: MediaInfo, max_frames: int) -> Iterator[Frame]:
        assert self.process.stdout is not None
        size = info.width * info.height * 3
        for _ in range(max_frames):
            with self.patience.waiting():
                data = self.process.stdout.read(size)
            if len(data) == size:
                yield np.frombuffer(data, np.uint8).reshape(info.height, info.width, 3)
            elif not data and self.process.wait() == 0:
                return  # the end, and not that of a child that was killed between two frames
            elif self.patience.ended:
                raise BadMedia(f"{self.path}: reading it takes too long.", hint="A shorter piece of it will do.")
            else:
                raise BadMedia(f"{self.path}: it begins well and is damaged further on.", hint="Is the file whole?")
