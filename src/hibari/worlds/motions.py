"""How one thing moves: each motion plans a track, where the thing is, how large and how turned, in every frame.

Positions are pixels of the world, x to the right and y down; a size is the longer side of the sprite in pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The part of the world, in pixels, that a thing must stay in, and the clock."""

    frames: int
    fps: int
    left: float
    top: float
    right: float
    bottom: float

    @property
    def seconds(self) -> np.ndarray:
        """Time of each frame, `(T,)`."""
        return np.arange(self.frames) / self.fps

    @property
    def duration(self) -> float:
        return (self.frames - 1) / self.fps

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True)
class Body:
    """What moves: half its width and half its height as shares of its size, and the size chosen for it in pixels."""

    half_width: float
    half_height: float
    size: float


@dataclass(frozen=True)
class Track:
    """Where a thing is in each frame, all `(T,)` float64.

    `detail` says which way it goes or turns; `mirrored` whether its picture is turned left to right.
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    opacity: np.ndarray
    detail: str = ""
    mirrored: bool = False


def track(
    stage: Stage,
    x: np.ndarray | float,
    y: np.ndarray | float,
    size: np.ndarray | float,
    *,
    angle: np.ndarray | float = 0.0,
    opacity: np.ndarray | float = 1.0,
    detail: str = "",
) -> Track:
    """A track from per-frame arrays or constants; angles are radians, clockwise."""
    columns = [np.broadcast_to(np.asarray(v, np.float64), (stage.frames,)) for v in (x, y, size, angle, opacity)]
    return Track(columns[0], columns[1], columns[2], columns[3], columns[4], detail)


def _range(low: float, high: float, half: float) -> tuple[float, float]:
    """Where the centre may be between two edges; the middle where the thing does not fit."""
    middle = (low + high) / 2
    return min(low + half, middle), max(high - half, middle)


def _place(rng: np.random.Generator, stage: Stage, body: Body, size: float) -> tuple[float, float]:
    """A random centre at which a thing of that size is wholly on the stage."""
    x = rng.uniform(*_range(stage.left, stage.right, body.half_width * size))
    return x, rng.uniform(*_range(stage.top, stage.bottom, body.half_height * size))


def still(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """Stays where it is."""
    return track(stage, *_place(rng, stage, body, body.size), body.size)


def _along(rng: np.random.Generator, stage: Stage, low: float, high: float, sign: int) -> np.ndarray:
    """A steady way between two bounds, towards the upper one where `sign` is 1, at a natural speed."""
    fastest = 1.2 * min(stage.width, stage.height) * max(stage.duration, 1 / stage.fps)
    way = min(rng.uniform(0.7, 1.0) * (high - low), fastest)
    start = rng.uniform(low, high - way)
    steps = np.linspace(0, way, stage.frames) if stage.frames > 1 else np.zeros(1)
    return start + steps if sign > 0 else low + high - start - steps


def travel(across: int, down: int) -> Callable[[np.random.Generator, Stage, Body], Track]:
    """A straight steady way: `across` -1 is left and 1 right, `down` -1 is up and 1 down."""

    def plan(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
        x, y = _place(rng, stage, body, body.size)
        horizontal = _range(stage.left, stage.right, body.half_width * body.size)
        vertical = _range(stage.top, stage.bottom, body.half_height * body.size)
        xs = _along(rng, stage, *horizontal, across) if across else x
        ys = _along(rng, stage, *vertical, down) if down else y
        words = [("up", "", "down")[down + 1], ("left", "", "right")[across + 1]]
        return track(stage, xs, ys, body.size, detail=" ".join(word for word in words if word))

    return plan


def diagonal(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """A straight way to one of the four corners."""
    across, down = rng.choice([-1, 1], 2)
    return travel(int(across), int(down))(rng, stage, body)


def circling(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """Round and round, at least four fifths of a turn."""
    size = min(body.size, 0.4 * min(stage.width, stage.height))
    room_x = stage.width / 2 - body.half_width * size
    room_y = stage.height / 2 - body.half_height * size
    radius = rng.uniform(0.75, 0.95) * min(room_x, room_y)
    x = rng.uniform(*_range(stage.left, stage.right, body.half_width * size + radius))
    y = rng.uniform(*_range(stage.top, stage.bottom, body.half_height * size + radius))
    turns = max(rng.uniform(0.8, 1.2), stage.duration / rng.uniform(1.6, 2.6))
    sign = rng.choice([-1, 1])
    angle = rng.uniform(0, 2 * np.pi) + sign * 2 * np.pi * turns * stage.seconds / max(stage.duration, 1e-9)
    detail = "clockwise" if sign > 0 else "counterclockwise"
    return track(stage, x + radius * np.cos(angle), y + radius * np.sin(angle), size, detail=detail)


def fall_height(seconds: np.ndarray, height: float, gravity: float, restitution: float) -> np.ndarray:
    """Height above the ground of a thing dropped from `height` at rest that bounces, `(T,)`; exact parabolas."""
    first = np.sqrt(2 * height / gravity)
    result = height - 0.5 * gravity * seconds**2
    start, speed = first, restitution * gravity * first
    # Forty bounces outlast any clip here; what comes after lies below a hundredth of a pixel.
    for _ in range(40):
        since = seconds - start
        result = np.where(since >= 0, speed * since - 0.5 * gravity * since**2, result)
        start, speed = start + 2 * speed / gravity, restitution * speed
    return np.maximum(result, 0.0)


def bouncing(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """Dropped, and bouncing on the ground under gravity."""
    size = min(body.size, 0.42 * stage.height)
    ground = stage.bottom - rng.uniform(0.01, 0.06) * stage.height - body.half_height * size
    height = rng.uniform(0.75, 1.0) * (ground - stage.top - body.half_height * size)
    gravity = 2 * height / rng.uniform(0.32, 0.45) ** 2
    up = fall_height(stage.seconds + rng.uniform(0, 0.1), height, gravity, rng.uniform(0.78, 0.92))
    low, high = _range(stage.left, stage.right, body.half_width * size)
    drift = rng.uniform(-1, 1) * min(0.35 * (high - low), 0.3 * stage.width * stage.duration)
    start = rng.uniform(low + max(0, -drift), high - max(0, drift))
    return track(stage, start + drift * stage.seconds / max(stage.duration, 1e-9), ground - up, size)


def rolling(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """Rolling along the ground without slipping: the turn matches the way."""
    radius = body.half_height * body.size
    sign = int(rng.choice([-1, 1]))
    xs = _along(rng, stage, *_range(stage.left, stage.right, 0.5 * np.hypot(1, 1) * body.size), sign)
    y = stage.bottom - rng.uniform(0.02, 0.08) * stage.height - radius
    return track(stage, xs, y, body.size, angle=(xs - xs[0]) / radius, detail="right" if sign > 0 else "left")


def growing(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """Getting larger where it is."""
    final = min(body.size * rng.uniform(1.1, 1.35), 0.75 * min(stage.width, stage.height))
    sizes = np.linspace(final * rng.uniform(0.3, 0.45), final, stage.frames) if stage.frames > 1 else final
    return track(stage, *_place(rng, stage, body, final), sizes)


def shrinking(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """Getting smaller where it is."""
    grown = growing(rng, stage, body)
    return track(stage, grown.x, grown.y, grown.size[::-1])


def appearing(rng: np.random.Generator, stage: Stage, body: Body) -> Track:
    """Not there at first, then popping up within a third of a second."""
    since = (stage.seconds - rng.uniform(0.25, 0.5) * stage.duration) / 0.35
    there = np.clip(since, 0, 1)
    swell = 1 - (1 - there) ** 3
    return track(stage, *_place(rng, stage, body, body.size), body.size * swell, opacity=np.clip(2 * there, 0, 1))


ANYWHERE = ("single", "beside", "stacked")


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A motion: how it is planned, the fewest frames in which it can be seen, and the layouts that it fits.

    A motion without a plan takes more than the thing itself, and casting.py plans it.
    """

    plan: Callable[[np.random.Generator, Stage, Body], Track] | None
    min_frames: int = 5
    layouts: tuple[str, ...] = ANYWHERE


MOTIONS: dict[str, Motion] = {
    "still": Motion(plan=still, min_frames=1),
    "left": Motion(plan=travel(-1, 0), layouts=("single", "stacked")),
    "right": Motion(plan=travel(1, 0), layouts=("single", "stacked")),
    "up": Motion(plan=travel(0, -1), layouts=("single", "beside")),
    "down": Motion(plan=travel(0, 1), layouts=("single", "beside")),
    "bounces": Motion(plan=bouncing, min_frames=13, layouts=("single", "beside")),
    "grows": Motion(plan=growing),
    "circles": Motion(plan=circling, min_frames=13),
    "shrinks": Motion(plan=shrinking),
    "diagonal": Motion(plan=diagonal, layouts=("single",)),
    "rolls": Motion(plan=rolling, min_frames=9, layouts=("single",)),
    "appears": Motion(plan=appearing, min_frames=9),
    "hides": Motion(plan=None, min_frames=13, layouts=("single",)),
    "collides": Motion(plan=None, min_frames=13, layouts=("collision",)),
}
