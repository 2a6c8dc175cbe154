"""The sizes that everything speaks: videos, latents, strides and packs. No torch here.

A video has 4n+1 frames (a picture is the one-frame video); the VAE divides time by 4 after the
first frame and space by 8 or 16; the transformer's patches divide the latent grid once more.
Those rules stand here and nowhere else.
"""

from dataclasses import dataclass
from itertools import groupby
from math import ceil, prod
from typing import NamedTuple

from hibari.errors import InvalidRequest


class VideoShape(NamedTuple):
    """Frames and pixels of a clip."""

    frames: int
    height: int
    width: int


class LatentShape(NamedTuple):
    """The latent of a clip: channels, and the latent grid."""

    channels: int
    frames: int
    height: int
    width: int


class Grid(NamedTuple):
    """The tokens of one clip: latent frames, and rows and columns of patches."""

    frames: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        return prod(self)

    @property
    def tokens_per_frame(self) -> int:
        return self.height * self.width


@dataclass(frozen=True, kw_only=True)
class Strides:
    """How a model divides a video: VAE strides, latent channels, and the patch of the transformer."""

    time: int = 4
    space: int = 16
    channels: int = 48
    patch: tuple[int, int, int] = (1, 1, 1)

    @property
    def pixel_multiple(self) -> int:
        """Heights and widths must be multiples of this."""
        return self.space * max(self.patch[1:])

    def check(self, video: VideoShape) -> None:
        """Raise InvalidRequest where a model of these strides cannot hold the video."""
        if video.frames < 1 or (video.frames - 1) % self.time:
            raise InvalidRequest(
                f"{video.frames} frames: a clip has {self.time}n+1 frames.",
                option="seconds",
                hint=f"Use {self.frames_at_least(max(1, video.frames))}.",
            )
        for side in video[1:]:
            if side < self.pixel_multiple or side % self.pixel_multiple:
                raise InvalidRequest(
                    f"{video.width}x{video.height}: width and height must be multiples of {self.pixel_multiple}.",
                    option="size",
                )

    def latent(self, video: VideoShape) -> LatentShape:
        """The latent shape of a video; raises InvalidRequest for a shape that has none."""
        self.check(video)
        return LatentShape(
            self.channels,
            (video.frames - 1) // self.time + 1,
            video.height // self.space,
            video.width // self.space,
        )

    def video(self, latent: LatentShape) -> VideoShape:
        """The video shape that a latent decodes to."""
        return VideoShape((latent.frames - 1) * self.time + 1, latent.height * self.space, latent.width * self.space)

    def grid(self, latent: LatentShape) -> Grid:
        """The token grid of a latent."""
        t, h, w = self.patch
        assert latent.frames % t == 0 and latent.height % h == 0 and latent.width % w == 0, latent
        return Grid(latent.frames // t, latent.height // h, latent.width // w)

    def frames_at_least(self, frames: int) -> int:
        """The smallest 4n+1 that is not below `frames`."""
        return ceil((frames - 1) / self.time) * self.time + 1


class Run(NamedTuple):
    """Neighbouring clips of a pack that share a grid: `count` of them, tokens `start` to `stop`.

    The last `references` latent frames of each are reference pictures.
    """

    count: int  # type: ignore[assignment]  # stands over tuple.count, which nobody asks a run for
    grid: Grid
    start: int
    stop: int
    references: int


@dataclass(frozen=True)
class PackLayout:
    """Clips of any sizes laid one after the other in one token sequence, with no padding.

    Tokens of a clip are ordered by frame, row, column. Clips with equal grids should stand next to
    each other: each such run is attended to as one batch. `references` says how many of each clip's
    last latent frames are reference pictures, which stand outside its time; empty means none. With
    `causal_frames` the frames of a clip form blocks of so many, and none attends to a later block.
    """

    grids: tuple[Grid, ...]
    references: tuple[int, ...] = ()
    causal_frames: int = 0

    @property
    def num_tokens(self) -> int:
        return sum(grid.tokens for grid in self.grids)

    @property
    def num_frames(self) -> int:
        """Latent frames in the whole pack."""
        return sum(grid.frames for grid in self.grids)

    @property
    def runs(self) -> tuple[Run, ...]:
        runs, start = [], 0
        references = self.references or (0,) * len(self.grids)
        for (grid, reference), clips in groupby(zip(self.grids, references, strict=True)):
            count = len(list(clips))
            stop = start + count * grid.tokens
            runs.append(Run(count, grid, start, stop, reference))
            start = stop
        return tuple(runs)
