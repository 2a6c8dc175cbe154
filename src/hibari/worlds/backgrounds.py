"""Places: each draws itself once per scene, with seeded variation, in numpy.

A place is a function of a generator and a size that returns a canvas, `(H, W, 3)` float32 in 0..1. They are smooth and
few-coloured on purpose: at 128 pixels a small model has to learn them. Some come at sunset and at night as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hibari.worlds.painting import (
    Colour,
    below,
    block,
    colour,
    crop,
    disc,
    finish,
    gradient,
    noise,
    paint,
    ridge,
    spot,
    tint,
)

# What the light of an hour does to the colours of the ground.
LIGHT = {"day": (1.0, 1.0, 1.0), "sunset": (0.95, 0.68, 0.62), "night": (0.24, 0.3, 0.52)}


def sky(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Blue sky with a few round clouds."""
    canvas = gradient(height, width, [(0, tint(rng, "3f8fe0")), (1, tint(rng, "bfe3fb"))])
    for _ in range(rng.integers(2, 5)):
        _cloud(rng, canvas, rng.uniform(0, width), rng.uniform(0.1, 0.9) * height, rng.uniform(0.06, 0.12))
    return canvas


def sunset(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The sun going down over the sea."""
    horizon = rng.uniform(0.58, 0.7) * height
    canvas = gradient(
        height,
        width,
        [(0, tint(rng, "5b4a92")), (0.3, tint(rng, "c6629a")), (0.5, tint(rng, "fb8b5e")), (0.66, tint(rng, "ffd06b"))],
    )
    side = min(height, width)
    x, y = rng.uniform(0.2, 0.8) * width, horizon - rng.uniform(-0.02, 0.08) * side
    spot(canvas, x, y, 0.16 * side, colour("ffe9a0"), soft=0.3 * side, strength=0.7)
    spot(canvas, x, y, rng.uniform(0.09, 0.13) * side, colour("fff6c8"), soft=1.5)
    sea = gradient(height, width, [(0.55, tint(rng, "d9707a")), (0.75, tint(rng, "8a4f86")), (1, tint(rng, "46346f"))])
    _glitter(rng, sea, horizon, x, colour("ffdf95"))
    paint(canvas, below(height, horizon), sea)
    return canvas


def night(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A dark sky with stars and a moon, over black hills."""
    canvas = _heavens(rng, height, width, "night", ())
    line = (rng.uniform(0.84, 0.9) + ridge(rng, width, [(1.2, 0.03), (2.7, 0.015)])) * height
    paint(canvas, below(height, line), tint(rng, "0b1026", 0.01))
    return canvas


def meadow(rng: np.random.Generator, height: int, width: int, hour: str = "day") -> np.ndarray:
    """Green hills with flowers under a light sky."""
    canvas = _heavens(rng, height, width, hour, ("7cc4f2", "dff3fb"))
    if hour == "day" and rng.random() < 0.6:
        _cloud(rng, canvas, rng.uniform(0, width), rng.uniform(0.1, 0.25) * height, rng.uniform(0.05, 0.09))
    start = rng.uniform(0.5, 0.6)
    for depth, (code, step) in enumerate([("9ad36a", 0.0), ("74bf4b", 0.13), ("56a83a", 0.28)]):
        line = (start + step + ridge(rng, width, [(1.0, 0.035), (2.1, 0.015)])) * height
        hill = gradient(height, width, [(0.4, tint(rng, code)), (1, colour(code) * 0.86)]) * LIGHT[hour]
        paint(canvas, below(height, line), hill)
        for _ in range((0, 8, 14)[depth]):
            x, y = rng.uniform(0, width), rng.uniform(start + step + 0.06, 1.0) * height
            petal = colour(("ffffff", "ffe14d", "ff7aa8", "e6484d")[rng.integers(4)])
            spot(canvas, x, y, rng.uniform(0.006, 0.012) * height + 0.4, petal * LIGHT[hour])
    return canvas


def desert(rng: np.random.Generator, height: int, width: int, hour: str = "day") -> np.ndarray:
    """Sand dunes under a hot pale sky."""
    canvas = _heavens(rng, height, width, hour, ("8fc7e8", "fdebc8"))
    if hour == "day" and rng.random() < 0.5:
        x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.25) * height
        spot(canvas, x, y, 0.07 * min(height, width), colour("fffbe6"), soft=2)
    start = rng.uniform(0.5, 0.6)
    for step, code in [(0.0, "eec27e"), (0.13, "e3a95c"), (0.28, "d6924a")]:
        line = (start + step + ridge(rng, width, [(0.9, 0.05), (1.9, 0.012)])) * height
        # The lee side of a dune lies in shade: where the line falls, the sand is darker.
        slope = np.clip(np.gradient(line) * 1.2 + 0.5, 0, 1)[None, :, None].astype(np.float32)
        sand = gradient(height, width, [(0.4, tint(rng, code)), (1, colour(code) * 0.93)]) * (1 - 0.1 * slope)
        paint(canvas, below(height, line), sand * LIGHT[hour])
    return canvas


def ocean(rng: np.random.Generator, height: int, width: int, hour: str = "day") -> np.ndarray:
    """Blue sea to the horizon on a clear day."""
    horizon = rng.uniform(0.4, 0.52) * height
    canvas = _heavens(rng, height, width, hour, ("6fb9ee", "e0f4fb"))
    sea = gradient(height, width, [(0.4, tint(rng, "2f86c4")), (0.7, tint(rng, "1c6aae")), (1, tint(rng, "124d8c"))])
    _glitter(rng, sea, horizon, rng.uniform(0, width), colour("a9e0f5"), spread=3.0)
    paint(canvas, below(height, horizon), sea * LIGHT[hour])
    return canvas


def snow(rng: np.random.Generator, height: int, width: int, hour: str = "day") -> np.ndarray:
    """White hills with a few dark pines."""
    canvas = _heavens(rng, height, width, hour, ("a9c6df", "e9f0f6"))
    start = rng.uniform(0.5, 0.6)
    for depth, (step, code) in enumerate([(0.0, "dbe7f2"), (0.14, "eaf1f8"), (0.3, "f9fbfe")]):
        line = (start + step + ridge(rng, width, [(0.9, 0.035), (2.2, 0.012)])) * height
        if depth:
            for _ in range(rng.integers(2, 5)):
                x = rng.uniform(0, width)
                foot = line[min(int(x), width - 1)] + 0.02 * height
                _pine(canvas, x, foot, rng.uniform(0.12, 0.2) * height, tint(rng, "3d6f62") * LIGHT[hour])
        drift = gradient(height, width, [(0.4, tint(rng, code, 0.01)), (1, colour(code) * 0.97)])
        paint(canvas, below(height, line), drift * LIGHT[hour])
    return canvas


def forest(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Between tree trunks, under leaves."""
    canvas = gradient(height, width, [(0, tint(rng, "4c8f4a")), (0.6, tint(rng, "b7d98b")), (1, tint(rng, "8cbf62"))])
    floor = rng.uniform(0.72, 0.8) * height
    for depth, (code, count) in enumerate([("7d9c62", 5), ("6b6a42", 4), ("5a4630", 3)]):
        bark = tint(rng, code)
        foot = floor + (0.02 + 0.07 * depth) * height
        for index in range(count):
            x = (index + rng.uniform(0.15, 0.85)) / count * width
            half = (0.012 + 0.012 * depth) * max(height, width) * rng.uniform(0.8, 1.2)
            block(canvas, x - half, -1, x + half, foot, bark)
        if depth == 0:
            ground = gradient(height, width, [(0.7, tint(rng, "6aa648")), (1, tint(rng, "3f7a34"))])
            paint(canvas, below(height, floor + ridge(rng, width, [(2, 0.01)]) * height), ground)
    leaves = (0.13 + 0.1 * noise(rng, 2, width, 2, max(5, 7 * width // height))[0]) * height
    paint(canvas, 1 - below(height, leaves + 0.05 * height), tint(rng, "3c8444"))
    paint(canvas, 1 - below(height, leaves[::-1] - 0.01 * height), tint(rng, "2a6938"))
    return canvas


def city(rng: np.random.Generator, height: int, width: int, hour: str = "day") -> np.ndarray:
    """Towers with windows along a street."""
    canvas = _heavens(rng, height, width, hour, ("7fb2de", "e6eef2"))
    light, unit = LIGHT[hour], min(height, width)
    street = rng.uniform(0.84, 0.9) * height
    for depth, code in enumerate(("a9b8cb", "7d8fa9")):
        x = -rng.uniform(0, 0.1) * width
        while x < width:
            wide, tall = rng.uniform(0.14, 0.24) * unit, rng.uniform(0.4 - 0.12 * depth, 0.66 - 0.2 * depth) * height
            front = tint(rng, code, 0.05)
            block(canvas, x, street - tall, x + wide, street + 1, front * light)
            if depth:
                glass = colour("ffd97a") if hour == "night" else np.minimum(front * 1.35, 1) * light
                _windows(rng, canvas, (x, street - tall, x + wide, street), glass)
            x += wide * rng.uniform(1.0, 1.25)
    paint(canvas, below(height, street), tint(rng, "5c6068") * light)
    middle = (street + height) / 2
    for start in np.arange(-rng.uniform(0, 0.2), 1, 0.2) * width:
        thick = 0.008 * height
        block(canvas, start, middle - thick, start + 0.1 * width, middle + thick, colour("f2efe0") * light)
    return canvas


def room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A room with a wooden floor and a window."""
    wall = ("f0d9b8", "bfd8d2", "e8c4c0", "cdd3ea", "dfe3b8")[rng.integers(5)]
    canvas = gradient(height, width, [(0, tint(rng, wall)), (0.8, colour(wall) * 0.93)])
    floor, unit = rng.uniform(0.74, 0.8) * height, min(height, width)
    x, y = rng.uniform(0.15, 0.55) * width, rng.uniform(0.12, 0.2) * height
    wide, tall, bar = rng.uniform(0.26, 0.34) * unit, rng.uniform(0.26, 0.32) * unit, 0.016 * unit
    frame = colour("fbfaf5")
    block(canvas, x - 2 * bar, y - 2 * bar, x + wide + 2 * bar, y + tall + 2 * bar, frame)
    block(canvas, x, y, x + wide, y + tall, tint(rng, "9fd0f3"))
    block(canvas, x + (wide - bar) / 2, y, x + (wide + bar) / 2, y + tall, frame)
    block(canvas, x, y + (tall - bar) / 2, x + wide, y + (tall + bar) / 2, frame)
    paint(
        canvas, below(height, floor), gradient(height, width, [(0.74, tint(rng, "b98352")), (1, tint(rng, "96633a"))])
    )
    block(canvas, -1, floor - 0.03 * height, width + 1, floor, frame * 0.97)
    for row in np.linspace(floor, height, 5)[1:-1]:
        block(canvas, -1, row - 0.5, width + 1, row + 0.5, colour("6f4526"), strength=0.4)
    return canvas


def plain(rng: np.random.Generator, height: int, width: int, code: str = "ffffff") -> np.ndarray:
    """One colour and nothing else."""
    shade = tint(rng, code, 0.015)
    return gradient(height, width, [(0, shade), (1, shade)])


def _heavens(rng: np.random.Generator, height: int, width: int, hour: str, day: Sequence[str]) -> np.ndarray:
    """The sky of an hour: from the first colour of `day` above to the second below, or what sunset or night has."""
    if hour == "day":
        return gradient(height, width, [(0, tint(rng, day[0])), (0.58, tint(rng, day[1]))])
    if hour == "sunset":
        stops: list[tuple[float, Colour]] = [(0, tint(rng, "5b4a92")), (0.3, tint(rng, "d9697f"))]
        canvas = gradient(height, width, [*stops, (0.55, tint(rng, "ffc56b"))])
        x, y, radius = rng.uniform(0.15, 0.85) * width, rng.uniform(0.42, 0.5) * height, 0.1 * min(height, width)
        spot(canvas, x, y, 1.4 * radius, colour("ffe9a0"), soft=2.5 * radius, strength=0.6)
        spot(canvas, x, y, radius, colour("fff6c8"), soft=1.5)
        return canvas
    canvas = gradient(height, width, [(0, tint(rng, "0a1033", 0.015)), (1, tint(rng, "2f3f80", 0.02))])
    side = min(height, width)
    for _ in range(rng.integers(22, 40)):
        radius = rng.uniform(0.2, 0.9) * max(1.0, side / 128)
        spot(canvas, rng.uniform(0, width), rng.uniform(0, 0.85) * height, radius, colour("fff8e0"), soft=1.2)
    x, y, radius = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.3) * height, rng.uniform(0.06, 0.1) * side
    spot(canvas, x, y, 1.6 * radius, colour("cfd8ff"), soft=2.5 * radius, strength=0.25)
    window, left, top = crop(canvas, x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1)
    rows, columns, _ = window.shape
    moon = disc(rows, columns, x - left, y - top, radius)
    if rng.random() < 0.6:
        moon *= 1 - disc(rows, columns, x - left + 0.5 * radius, y - top - 0.2 * radius, 0.9 * radius)
    paint(window, moon, colour("fdf3cf"))
    return canvas


def _windows(
    rng: np.random.Generator, canvas: np.ndarray, front: tuple[float, float, float, float], glass: np.ndarray
) -> None:
    """A grid of windows on a front (left, top, right, bottom), a few of them dark."""
    left, top, right, bottom = front
    columns, pitch = 3, (right - left) / 3.4
    for row in range(int((bottom - top) / pitch)):
        for column in range(columns):
            if rng.random() < 0.7:
                x, y = left + (column + 0.45) * pitch, top + (row + 0.4) * pitch
                block(canvas, x, y, x + 0.5 * pitch, y + 0.55 * pitch, glass)


def _cloud(rng: np.random.Generator, canvas: np.ndarray, x: float, y: float, size: float) -> None:
    unit = size * min(canvas.shape[:2])
    window, left, top = crop(canvas, x - 4 * unit, y - 3 * unit, x + 4 * unit, y + 2 * unit)
    height, width, _ = window.shape
    mask = np.zeros((height, width), np.float32)
    for step in range(-2, 3):
        radius = unit * (1.25 - 0.28 * abs(step)) * rng.uniform(0.85, 1.15)
        puff = disc(height, width, x - left + 0.95 * step * unit, y - top - 0.35 * radius, radius, 0.35 * unit)
        mask = np.maximum(mask, puff)
    mask *= 1 - below(height, y - top + 0.35 * unit) * 0.85
    paint(window, mask * 0.92, colour("ffffff"))


def _glitter(
    rng: np.random.Generator, sea: np.ndarray, horizon: float, x: float, shade: np.ndarray, spread: float = 1.0
) -> None:
    """Streaks of light on water, widening from the horizon towards the viewer, under `x`."""
    height, width, _ = sea.shape
    depth = np.clip((np.arange(height, dtype=np.float32) - horizon) / (height - horizon), 0, 1)[:, None]
    reach = (0.08 + 0.22 * depth) * width * spread
    across = np.exp(-(((np.arange(width, dtype=np.float32)[None] - x) / reach) ** 2))
    waves = noise(rng, height, width, 26, max(4, 6 * width // height))
    paint(sea, np.clip((waves - 0.55) * 3, 0, 1) * across * (0.85 - 0.35 * depth) * (depth > 0), shade)


def _pine(canvas: np.ndarray, x: float, foot: float, tall: float, shade: np.ndarray) -> None:
    window, left, top = crop(canvas, x - 0.3 * tall, foot - tall, x + 0.3 * tall, foot)
    height, width, _ = window.shape
    up = np.clip((foot - top - np.arange(height, dtype=np.float32)[:, None] - 0.5) / tall, 0, 1)
    half = 0.28 * tall * (1 - up) * (0.75 + 0.25 * ((up * 3) % 1 < 0.6))
    across = np.clip(half - np.abs(np.arange(width, dtype=np.float32)[None] + left + 0.5 - x) + 0.5, 0, 1)
    paint(window, across * (up > 0) * (up < 1), shade)


@dataclass(frozen=True, kw_only=True)
class Place:
    """How a place is drawn, and whether weather can reach it."""

    draw: Callable[[np.random.Generator, int, int], np.ndarray]
    outdoors: bool = True


PLAIN = {
    "white": "f7f7f5",
    "black": "141416",
    "grey": "8b8e93",
    "red": "d8453e",
    "orange": "f0923b",
    "yellow": "f6d24a",
    "green": "58a955",
    "blue": "3f74cf",
    "purple": "8456b8",
    "pink": "f2a2c0",
    "brown": "8a5a3a",
    "turquoise": "45b8b0",
}
PLACES: dict[str, Place] = {
    "sky": Place(draw=sky),
    "sunset": Place(draw=sunset),
    "night": Place(draw=night),
    "meadow": Place(draw=meadow),
    "desert": Place(draw=desert),
    "ocean": Place(draw=ocean),
    "snow": Place(draw=snow),
    "forest": Place(draw=forest),
    "city": Place(draw=city),
    "room": Place(draw=room, outdoors=False),
    **{
        f"{name} at {hour}": Place(draw=partial(day, hour=hour))
        for name, day in (("meadow", meadow), ("desert", desert), ("snow", snow), ("city", city))
        for hour in ("sunset", "night")
    },
    "ocean at night": Place(draw=partial(ocean, hour="night")),
    **{f"plain {name}": Place(draw=partial(plain, code=code), outdoors=False) for name, code in PLAIN.items()},
}


def draw(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The place of that name as `(H, W, 3)` uint8."""
    return finish(PLACES[name].draw(rng, height, width))
