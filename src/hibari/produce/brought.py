"""The files that a person brings to a request: looked at once, in a child process, before any work is done.

What is remembered of a file is its digest, what the upload screen is to see of it, and, of a clip, its shape. Its
frames are read again where they are wanted, for a clip may be too long to hold.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hibari.errors import BadMedia
from hibari.generate.sources import MAX_CLIP_S, ClipShape
from hibari.media.child import Limits
from hibari.media.files import file_sha256
from hibari.media.sniff import sniff

if TYPE_CHECKING:
    from hibari.media.fit import Frame
    from hibari.provenance.ledger.entry import Relationship

LOOKING = Limits(seconds=60, processor_seconds=60)
USING = Limits(seconds=3600, processor_seconds=60)  # whoever marks and encodes the frames sets the pace
MAX_FPS = 120
SMALL = 512  # pixels of their longer side
_DENOMINATOR = 1001  # of the rates that files have, such as 30000/1001

Option = Literal["image", "end_image", "video", "references"]
_PARTS: "dict[Option, tuple[Relationship, str]]" = {
    "image": ("inputTo", "start image"),
    "end_image": ("inputTo", "end image"),
    "video": ("parentOf", "source clip"),
    "references": ("inputTo", "reference"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Brought:
    """One file of a request. `screened` is what the upload screen sees of it, and `shape` there for a clip alone."""

    option: Option
    path: Path
    sha256: str
    screened: "tuple[Frame, ...]"
    shape: ClipShape | None = None

    @property
    def relationship(self) -> "Relationship":
        return _PARTS[self.option][0]

    @property
    def title(self) -> str:
        """What part it plays, as credentials and the ledger say."""
        return _PARTS[self.option][1]

    @property
    def mime(self) -> str:
        return sniff(self.path) or "application/octet-stream"

    def check(self) -> None:
        """Raise BadMedia where it is no longer the file that was looked at."""
        if sha256_of(self.path, self.option) != self.sha256:
            raise BadMedia(f"{self.path} was changed while it was used.", option=self.option, hint="Start again.")

    def frames(self, indices: Sequence[int]) -> "Iterator[Frame]":
        """The frames of those numbers, which never fall, one for each; raises BadMedia where the clip has fewer."""
        from hibari.media import decode

        if not indices:
            return
        with decode.reading(self.path, indices[-1] + 1, USING) as (_, frames):
            at, frame = -1, None
            for index in indices:
                while at < index:
                    at, frame = at + 1, next(frames, None)
                if frame is None:
                    raise BadMedia(f"{self.path} is shorter than it was.", option=self.option, hint="Start again.")
                yield frame


def look_at_image(path: Path, width: int, height: int, option: Option = "image") -> Brought:
    """A start image or an end image, screened as it is used: at the render size. Raises BadMedia."""
    from hibari.media import decode
    from hibari.media.fit import fit

    with _named(option):
        frame = fit(decode.read_image(path), width, height)
    return Brought(option=option, path=path, sha256=sha256_of(path, option), screened=(frame,))


def look_at_clip(path: Path, option: Option = "video") -> Brought:
    """A clip, decoded from end to end so that what is damaged or too long is said at once; raises BadMedia."""
    from hibari.media import decode
    from hibari.safety.frames import PER_SECOND

    screened, count, last = [], 0, None
    with _named(option), decode.reading(path, MAX_CLIP_S * MAX_FPS + 1, LOOKING) as (info, frames):
        if info.kind != "video":
            raise BadMedia(f"{path.name} is a picture.", hint="A clip is wanted here.")
        rate = _rate(path.name, info.fps)
        step = max(1, int(rate / Fraction(PER_SECOND)))
        for frame in frames:
            if count % step == 0:
                screened.append(thumbnail(frame))
            count, last = count + 1, frame
            _check_length(path.name, count, rate)
    assert last is not None, "a file without a frame is none"
    if (count - 1) % step:
        screened.append(thumbnail(last))
    shape = ClipShape(frames=count, fps=rate, width=info.width, height=info.height)
    return Brought(option=option, path=path, sha256=sha256_of(path, option), screened=tuple(screened), shape=shape)


def clip_shape(name: str, *, frames: int, fps: float, width: int, height: int) -> ClipShape:
    """A clip as its file describes itself; raises BadMedia for one that is too fast or too long to be taken."""
    rate = _rate(name, fps)
    _check_length(name, frames, rate)
    return ClipShape(frames=frames, fps=rate, width=width, height=height)


def _rate(name: str, fps: float) -> Fraction:
    rate = Fraction(fps).limit_denominator(_DENOMINATOR)
    if not rate > 0:
        raise BadMedia(f"{name} does not say how fast it plays.", hint="Save it as .mp4 at a usual rate.")
    if rate > MAX_FPS:
        raise BadMedia(f"{name} has {fps:g} frames a second, and at most {MAX_FPS} are taken.", hint="Save it slower.")
    return rate


def _check_length(name: str, frames: int, rate: Fraction) -> None:
    if frames > MAX_CLIP_S * rate:
        raise BadMedia(f"{name} is longer than {MAX_CLIP_S} s.", hint="Bring a piece of it.")


def look_at_reference(path: Path, width: int, height: int) -> "tuple[Brought, Frame]":
    """A reference picture, or a clip, and the frame of it that is shown to the model: a clip's middle one."""
    from hibari.media import decode
    from hibari.media.fit import fit

    with _named("references"):
        if decode.probe(path).kind == "still":
            frame = decode.read_image(path)
            digest = sha256_of(path, "references")
            picture = Brought(option="references", path=path, sha256=digest, screened=(thumbnail(frame),))
            return picture, fit(frame, width, height)
        clip = look_at_clip(path, "references")
        assert clip.shape is not None
        return clip, fit(next(clip.frames([clip.shape.frames // 2])), width, height)


def thumbnail(frame: "Frame") -> "Frame":
    """A frame with at most SMALL pixels on its longer side."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(frame)
    picture.thumbnail((SMALL, SMALL), Image.Resampling.BOX)
    return np.asarray(picture)


def sha256_of(path: Path, option: Option) -> str:
    """The digest of a file that was brought; raises BadMedia where it is gone."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise BadMedia(
            f"{path} cannot be read any more ({error.strerror}).", option=option, hint="Keep it until the file is made."
        ) from error


@contextmanager
def _named(option: Option) -> Iterator[None]:
    """What is wrong with a file is said with the option that named it."""
    try:
        yield
    except BadMedia as error:
        raise BadMedia(error.message, option=option, hint=error.hint) from error
