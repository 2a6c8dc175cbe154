"""A scene: who is where in every frame, what is behind them, and how that becomes pixels and truth.

A scene is a plan, small and cheap to make; `render` and `truth` work it out. Same scene, same pixels.
"""

from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np
from PIL import Image

from hibari.clip import Clip
from hibari.shapes import VideoShape
from hibari.worlds import backgrounds, weather
from hibari.worlds.camera import Camera
from hibari.worlds.looks import Look
from hibari.worlds.motions import Track
from hibari.worlds.pack import MARGIN, Sprite

# Each part of a scene draws from a stream of its own, so that a change in one leaves the others as they were.
PLAN_STREAM, BACKGROUND_STREAM, CAPTION_STREAM, WEATHER_STREAM, LOOK_STREAM = range(5)
SMALLEST = 0.1  # of the picture's own size; below this a window of one pixel would leave the sprite's margin
SEEN = 96  # alpha from which a pixel counts as part of a thing, in 0..255


@dataclass(frozen=True)
class Labels:
    """What the scene holds, in the vocabulary's words.

    `objects` and `motions` stand side by side. `layout` is how several things are arranged: "beside" (from left to
    right), "stacked" (from top to bottom) or "collision"; "single" for one. `props` are the things that hide another.
    `looks` stands beside `objects` too: which look was drawn for a kind that has several, None for other things.
    """

    objects: tuple[str, ...]
    motions: tuple[str, ...]
    background: str
    camera: str = "still"
    weather: str = "clear"
    layout: str = "single"
    props: tuple[str, ...] = ()
    looks: tuple[Look | None, ...] = ()

    def look(self, index: int) -> Look | None:
        """The look of one thing, None where it comes in one look."""
        return self.looks[index] if self.looks else None

    @property
    def sprites(self) -> tuple[str, ...]:
        """The name of the sprite of each thing."""
        looks = (self.look(index) for index in range(len(self.objects)))
        return tuple(look.sprite if look else name for name, look in zip(self.objects, looks, strict=True))


@dataclass(frozen=True)
class Actor:
    """One thing on its way: its sprite, its track as the camera sees it, and its animation's frame at each time."""

    sprite: Sprite
    track: Track
    pose: np.ndarray


@dataclass(frozen=True)
class Stamp:
    """A picture brought to its place: `pixels` `(h, w, 4)` premultiplied uint8 at column `left` and row `top`."""

    pixels: np.ndarray
    left: int
    top: int


@dataclass(frozen=True)
class Truth:
    """Where every thing is: `names` (N), `centre` (T, N, 2) x and y px, `size` (T, N, 2) width and height px,
    `visibility` (T, N) the share of the thing that is neither covered nor outside the frame."""

    names: tuple[str, ...]
    centre: np.ndarray
    size: np.ndarray
    visibility: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A captioned clip that has not been drawn yet."""

    seed: int
    shape: VideoShape
    fps: int
    labels: Labels
    caption: str
    camera: Camera = field(repr=False)
    actors: tuple[Actor, ...] = field(repr=False)
    props: tuple[Actor, ...] = field(repr=False, default=())

    def render(self) -> np.ndarray:
        """The frames, `(T, H, W, 3)` uint8."""
        place = np.random.default_rng([self.seed, BACKGROUND_STREAM])
        world = backgrounds.draw(self.labels.background, place, self.camera.height, self.camera.width)
        frames = self.camera.look(world)
        for index, frame in enumerate(frames):
            for actor in (*self.actors, *self.props):
                lay(frame, stamp_of(actor, index, self.shape.height, self.shape.width))
        if self.labels.weather != "clear":
            weather.fall(np.random.default_rng([self.seed, WEATHER_STREAM]), self.labels.weather, frames, self.fps)
        return frames

    def clip(self) -> Clip:
        """The rendered scene with its caption."""
        return Clip(self.render(), self.fps, self.caption)

    def truth(self) -> Truth:
        """Ground truth of each frame, measured on each thing's own alpha before anything covers it."""
        number, frames = len(self.actors), self.shape.frames
        centre, size = np.full((frames, number, 2), np.nan), np.zeros((frames, number, 2))
        visibility = np.zeros((frames, number))
        for index in range(frames):
            # From the front to the back: what is nearer hides what is farther.
            through = np.ones((self.shape.height, self.shape.width))
            for prop in self.props:
                _pass(stamp_of(prop, index), through)
            for which in reversed(range(number)):
                stamp = stamp_of(self.actors[which], index)
                box = bounds(stamp.pixels[..., 3]) if stamp else None
                if stamp is None or box is None:
                    continue
                left, top, right, bottom = box
                centre[index, which] = stamp.left + (left + right) / 2, stamp.top + (top + bottom) / 2
                size[index, which] = right - left, bottom - top
                visibility[index, which] = _pass(stamp, through)
        return Truth(self.labels.objects, centre, size, visibility)


def _pass(stamp: Stamp | None, through: np.ndarray) -> float:
    """The share of a stamp's alpha that reaches the viewer; `through` `(H, W)` then loses what the stamp hides."""
    rows, columns = through.shape
    if stamp is None:
        return 0.0
    height, width, _ = stamp.pixels.shape
    top, left = max(stamp.top, 0), max(stamp.left, 0)
    bottom, right = min(stamp.top + height, rows), min(stamp.left + width, columns)
    if top >= bottom or left >= right:
        return 0.0
    alpha = stamp.pixels[..., 3].astype(float)
    part = alpha[top - stamp.top : bottom - stamp.top, left - stamp.left : right - stamp.left]
    window = through[top:bottom, left:right]
    seen = float((part * window).sum()) / max(float(alpha.sum()), 1.0)
    window *= 1 - part / 255
    return seen


def bounds(alpha: np.ndarray) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the pixels that are more than faint; None where there are none."""
    mask = alpha >= SEEN
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def stamp_of(actor: Actor, index: int, height: int | None = None, width: int | None = None) -> Stamp | None:
    """The actor of one frame at its exact, fractional place, cut to a frame of that size where one is given."""
    size, opacity = actor.track.size[index], actor.track.opacity[index]
    if size < SMALLEST * max(actor.sprite.size) or opacity <= 0:
        return None
    picture = actor.sprite.frames[actor.pose[index]]
    if actor.track.mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    window = _turned if actor.track.angle[index] else _upright
    stamp = window(picture, actor.track, index, (height, width))
    if stamp is None or opacity >= 1:
        return stamp
    return Stamp((stamp.pixels * opacity + 0.5).astype(np.uint8), stamp.left, stamp.top)


def _cut(low: float, high: float, limit: int | None) -> tuple[int, int]:
    """Whole pixels that cover an interval, cut to 0..limit."""
    return (floor(low), ceil(high)) if limit is None else (max(0, floor(low)), min(limit, ceil(high)))


def _upright(picture: Image.Image, track: Track, index: int, limits: tuple[int | None, int | None]) -> Stamp | None:
    scale = track.size[index] / (max(picture.size) - 2 * MARGIN)
    width, height = picture.width - 2 * MARGIN, picture.height - 2 * MARGIN
    left, top = track.x[index] - width * scale / 2, track.y[index] - height * scale / 2
    x0, x1 = _cut(left, left + width * scale, limits[1])
    y0, y1 = _cut(top, top + height * scale, limits[0])
    if x0 >= x1 or y0 >= y1:
        return None
    box = ((x0 - left) / scale, (y0 - top) / scale, (x1 - left) / scale, (y1 - top) / scale)
    pixels = picture.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=tuple(MARGIN + side for side in box))
    return Stamp(np.asarray(pixels), x0, y0)


def _turned(picture: Image.Image, track: Track, index: int, limits: tuple[int | None, int | None]) -> Stamp | None:
    scale, reduced = track.size[index] / (max(picture.size) - 2 * MARGIN), 1
    if scale <= 0.6:  # transform() does not filter, so a small picture is first halved
        picture, scale, reduced = picture.reduce(2), scale * 2, 2
    cos, sin = np.cos(track.angle[index]), np.sin(track.angle[index])
    width, height = picture.width - 2 * MARGIN / reduced, picture.height - 2 * MARGIN / reduced
    half_x = (abs(cos) * width + abs(sin) * height) * scale / 2
    half_y = (abs(sin) * width + abs(cos) * height) * scale / 2
    x0, x1 = _cut(track.x[index] - half_x, track.x[index] + half_x, limits[1])
    y0, y1 = _cut(track.y[index] - half_y, track.y[index] + half_y, limits[0])
    if x0 >= x1 or y0 >= y1:
        return None
    # Output pixel (i, j) shows the source point that the turn brings there.
    a, b, d, e = cos / scale, sin / scale, -sin / scale, cos / scale
    dx, dy = x0 - track.x[index], y0 - track.y[index]
    matrix = (a, b, a * dx + b * dy + picture.width / 2, d, e, d * dx + e * dy + picture.height / 2)
    pixels = picture.transform((x1 - x0, y1 - y0), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return Stamp(np.asarray(pixels), x0, y0)


def lay(frame: np.ndarray, stamp: Stamp | None) -> None:
    """Lay a stamp that lies within `frame` `(H, W, 3)` uint8 over it, in place."""
    if stamp is None:
        return
    height, width, _ = stamp.pixels.shape
    window = frame[stamp.top : stamp.top + height, stamp.left : stamp.left + width]
    through = (255 - stamp.pixels[..., 3:]).astype(np.uint16)
    window[:] = np.minimum(stamp.pixels[..., :3] + (window * through + 127) // 255, 255)
