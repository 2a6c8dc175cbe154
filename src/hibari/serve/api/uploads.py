"""Files that people send: streamed into private files with a limit, known by their bytes, opened in a child process."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from anyio import to_thread

from hibari.errors import BadMedia
from hibari.media import decode
from hibari.media.child import Limits
from hibari.media.files import beside, sweep
from hibari.media.sniff import sniff
from hibari.produce.job import ClipShape, clip_shape
from hibari.request import MAX_SIDE
from hibari.serve.api.errors import ApiError, invalid
from hibari.serve.api.gates import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
CLIPS = {"video/mp4": ".mp4", "video/quicktime": ".mov"}
LIMITS = Limits(seconds=20.0, processor_seconds=20.0, pixels=MAX_SIDE * MAX_SIDE)
MAX_FRAMES = 3600
MAX_DATA_URL = 20_971_520  # characters, the Videos API's own bound
_FOLDER, _CHUNK = "uploads", 1 << 20
_DATA_URL = re.compile(r"data:[\w.+-]{1,64}/[\w.+-]{1,64}(?:;[\w.+=-]{1,64})*;base64,", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that came with a request, on our disk until the request is answered; `party` sent it, `lane` opens it."""

    path: Path
    size: int
    sha256: str
    lane: Lane
    party: str


class Uploads:
    """Where uploads lie while they are looked at: a folder for its owner alone."""

    def __init__(self, home: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._folder = home / _FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(self._folder)

    @asynccontextmanager
    async def keeping(self, lane: Lane, party: str) -> AsyncIterator["Shelf"]:
        """A shelf for the files of one request of somebody's; they go with the block."""
        async with AsyncExitStack() as stack:
            yield Shelf(self, stack, lane, party)

    @contextmanager
    def private_file(self) -> "Iterator[Path]":
        """An empty file that goes with the block."""
        with beside(self._folder / "upload", keep=False, private=True) as path:
            yield path

    async def look(self, upload: Upload, param: str, kinds: dict[str, str]) -> tuple[str, decode.MediaInfo]:
        """The suffix that fits an upload of one of these kinds, and what it holds; raises ApiError."""
        mime = await to_thread.run_sync(sniff, upload.path)
        if mime not in kinds:
            known = ", ".join(sorted(kind.partition("/")[2].upper() for kind in kinds))
            raise invalid(param, f"It is not one of {known}, by its content.", "invalid_file")
        try:
            info = await upload.lane.run(upload.party, lambda: decode.probe(upload.path, LIMITS))
        except BadMedia as error:
            text = error.message.replace(str(upload.path), "the file")
            raise invalid(param, f"It cannot be used: {text}", "invalid_file") from error
        if info.frames > MAX_FRAMES:
            raise invalid(param, f"{info.frames} frames, and at most {MAX_FRAMES} are allowed.", "invalid_file")
        if info.kind == "video" and not (info.frames > 0 and info.fps > 0):
            raise invalid(param, "It does not say how long it is.", "invalid_file")
        return kinds[mime], info


@dataclass(frozen=True)
class Shelf:
    """The files of one request."""

    uploads: Uploads
    stack: AsyncExitStack
    lane: Lane
    party: str

    async def keep(self, file: BinaryIO) -> Upload:
        """A copy of an open file; raises ApiError where it is too large."""
        path = self.stack.enter_context(self.uploads.private_file())
        size, sha256 = await to_thread.run_sync(_copy, file, path, self.uploads.max_bytes)
        return Upload(path=path, size=size, sha256=sha256, lane=self.lane, party=self.party)

    async def keep_bytes(self, data: bytes) -> Upload:
        """The same of bytes at hand; raises ApiError where they are too large."""
        return await self.keep(BytesIO(data))


def checked_clip(info: decode.MediaInfo, param: str) -> ClipShape:
    """The shape of a clip that is to be used; raises ApiError for one that no worker would take."""
    try:
        return clip_shape("The clip", frames=info.frames, fps=info.fps, width=info.width, height=info.height)
    except BadMedia as error:
        raise invalid(param, str(error), "invalid_file") from error


def data_of(url: str, param: str) -> bytes:
    """The bytes of a base64 data URL; raises ApiError."""
    if len(url) > MAX_DATA_URL:
        raise invalid(param, f"At most {MAX_DATA_URL} characters are allowed.", "string_above_max_length")
    head = _DATA_URL.match(url)
    if head is None:
        raise invalid(param, "It is not a base64 data URL.")
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(param, "Its base64 is damaged.") from error


def too_large(max_bytes: int) -> ApiError:
    """A body or a file over the limit."""
    text = f"It is too large: at most {max_bytes // 10**6} MB are allowed."
    return ApiError(413, text, code="request_too_large")


def _copy(file: BinaryIO, path: Path, most: int) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as target:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise too_large(most)
            digest.update(chunk)
            target.write(chunk)
    return size, digest.hexdigest()
