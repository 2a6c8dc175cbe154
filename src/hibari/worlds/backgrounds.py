"""Places: each draws itself once per scene, with seeded variation, in numpy.

A place is a function of a generator and a size that returns a canvas, `(H, W, 3)` float32 in 0..1. They are smooth and
few-coloured on purpose: at 128 pixels a small model has to learn them.
"""

from collections.abc import Callable

import numpy as np

from hibari.worlds.painting import below, box, colour, disc, finish, gradient, noise, paint, ridge, tint

Place = Callable[[np.random.Generator, int, int], np.ndarray]


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
    paint(canvas, disc(height, width, x, y, 0.16 * side, 0.3 * side) * 0.7, colour("ffe9a0"))
    paint(canvas, disc(height, width, x, y, rng.uniform(0.09, 0.13) * side, 1.5), colour("fff6c8"))
    sea = gradient(height, width, [(0.55, tint(rng, "d9707a")), (0.75, tint(rng, "8a4f86")), (1, tint(rng, "46346f"))])
    _glitter(rng, sea, horizon, x, colour("ffdf95"))
    paint(canvas, below(height, horizon), sea)
    return canvas


def night(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A dark sky with stars and a moon, over black hills."""
    canvas = gradient(height, width, [(0, tint(rng, "0a1033", 0.015)), (1, tint(rng, "2f3f80", 0.02))])
    side = min(height, width)
    for _ in range(rng.integers(22, 40)):
        star = disc(height, width, rng.uniform(0, width), rng.uniform(0, 0.85) * height, rng.uniform(0.2, 0.9), 1.2)
        paint(canvas, star, colour("fff8e0"))
    x, y, radius = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.3) * height, rng.uniform(0.06, 0.1) * side
    moon = disc(height, width, x, y, radius)
    if rng.random() < 0.6:
        moon = moon * (1 - disc(height, width, x + 0.5 * radius, y - 0.2 * radius, 0.9 * radius))
    paint(canvas, disc(height, width, x, y, 1.6 * radius, 2.5 * radius) * 0.25, colour("cfd8ff"))
    paint(canvas, moon, colour("fdf3cf"))
    line = (rng.uniform(0.84, 0.9) + ridge(rng, width, [(1.2, 0.03), (2.7, 0.015)])) * height
    paint(canvas, below(height, line), tint(rng, "0b1026", 0.01))
    return canvas


def meadow(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Green hills with flowers under a light sky."""
    canvas = gradient(height, width, [(0, tint(rng, "7cc4f2")), (0.6, tint(rng, "dff3fb"))])
    if rng.random() < 0.6:
        _cloud(rng, canvas, rng.uniform(0, width), rng.uniform(0.1, 0.25) * height, rng.uniform(0.05, 0.09))
    start = rng.uniform(0.5, 0.6)
    for depth, (code, step) in enumerate([("9ad36a", 0.0), ("74bf4b", 0.13), ("56a83a", 0.28)]):
        line = (start + step + ridge(rng, width, [(1.0, 0.035), (2.1, 0.015)])) * height
        hill = gradient(height, width, [(0.4, tint(rng, code)), (1, colour(code) * 0.86)])
        paint(canvas, below(height, line), hill)
        for _ in range((0, 8, 14)[depth]):
            x, y = rng.uniform(0, width), rng.uniform(start + step + 0.06, 1.0) * height
            petal = colour(("ffffff", "ffe14d", "ff7aa8", "e6484d")[rng.integers(4)])
            paint(canvas, disc(height, width, x, y, rng.uniform(0.006, 0.012) * height + 0.4), petal)
    return canvas


def desert(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Sand dunes under a hot pale sky."""
    canvas = gradient(height, width, [(0, tint(rng, "8fc7e8")), (0.55, tint(rng, "fdebc8"))])
    if rng.random() < 0.5:
        x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.25) * height
        paint(canvas, disc(height, width, x, y, 0.07 * min(height, width), 2), colour("fffbe6"))
    start = rng.uniform(0.5, 0.6)
    for step, code in [(0.0, "eec27e"), (0.13, "e3a95c"), (0.28, "d6924a")]:
        line = (start + step + ridge(rng, width, [(0.9, 0.05), (1.9, 0.012)])) * height
        # The lee side of a dune lies in shade: where the line falls, the sand is darker.
        slope = np.clip(np.gradient(line) * 1.2 + 0.5, 0, 1)[None, :, None].astype(np.float32)
        sand = gradient(height, width, [(0.4, tint(rng, code)), (1, colour(code) * 0.93)]) * (1 - 0.1 * slope)
        paint(canvas, below(height, line), sand)
    return canvas


def ocean(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Blue sea to the horizon on a clear day."""
    horizon = rng.uniform(0.4, 0.52) * height
    canvas = gradient(height, width, [(0, tint(rng, "6fb9ee")), (0.5, tint(rng, "e0f4fb"))])
    sea = gradient(height, width, [(0.4, tint(rng, "2f86c4")), (0.7, tint(rng, "1c6aae")), (1, tint(rng, "124d8c"))])
    _glitter(rng, sea, horizon, rng.uniform(0, width), colour("a9e0f5"), spread=3.0)
    paint(canvas, below(height, horizon), sea)
    return canvas


def snow(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """White hills with a few dark pines."""
    canvas = gradient(height, width, [(0, tint(rng, "a9c6df", 0.02)), (0.6, tint(rng, "e9f0f6", 0.02))])
    start = rng.uniform(0.5, 0.6)
    for depth, (step, code) in enumerate([(0.0, "dbe7f2"), (0.14, "eaf1f8"), (0.3, "f9fbfe")]):
        line = (start + step + ridge(rng, width, [(0.9, 0.035), (2.2, 0.012)])) * height
        if depth:
            for _ in range(rng.integers(2, 5)):
                x = rng.uniform(0, width)
                foot = line[min(int(x), width - 1)] + 0.02 * height
                _pine(canvas, x, foot, rng.uniform(0.12, 0.2) * height, tint(rng, "3d6f62"))
        drift = gradient(height, width, [(0.4, tint(rng, code, 0.01)), (1, colour(code) * 0.97)])
        paint(canvas, below(height, line), drift)
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
            paint(canvas, box(height, width, x - half, 0, x + half, foot), bark)
        if depth == 0:
            ground = gradient(height, width, [(0.7, tint(rng, "6aa648")), (1, tint(rng, "3f7a34"))])
            paint(canvas, below(height, floor + ridge(rng, width, [(2, 0.01)]) * height), ground)
    leaves = (0.13 + 0.1 * noise(rng, 2, width, 2, max(5, 7 * width // height))[0]) * height
    paint(canvas, 1 - below(height, leaves + 0.05 * height), tint(rng, "3c8444"))
    paint(canvas, 1 - below(height, leaves[::-1] - 0.01 * height), tint(rng, "2a6938"))
    return canvas


def _cloud(rng: np.random.Generator, canvas: np.ndarray, x: float, y: float, size: float) -> None:
    height, width, _ = canvas.shape
    unit = size * min(height, width)
    mask = np.zeros((height, width), np.float32)
    for step in range(-2, 3):
        radius = unit * (1.25 - 0.28 * abs(step)) * rng.uniform(0.85, 1.15)
        puff = disc(height, width, x + 0.95 * step * unit, y - 0.35 * radius, radius, 0.35 * unit)
        mask = np.maximum(mask, puff)
    mask *= 1 - below(height, y + 0.35 * unit) * 0.85
    paint(canvas, mask * 0.92, colour("ffffff"))


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
    height, width, _ = canvas.shape
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    up = np.clip((foot - y) / tall, 0, 1)
    half = 0.28 * tall * (1 - up) * (0.75 + 0.25 * ((up * 3) % 1 < 0.6))
    across = np.clip(half - np.abs(np.arange(width, dtype=np.float32)[None] + 0.5 - x) + 0.5, 0, 1)
    paint(canvas, across * (up > 0) * (up < 1), shade)


PLACES: dict[str, Place] = {
    "sky": sky,
    "sunset": sunset,
    "night": night,
    "meadow": meadow,
    "desert": desert,
    "ocean": ocean,
    "snow": snow,
    "forest": forest,
}


def draw(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The place of that name as `(H, W, 3)` uint8."""
    return finish(PLACES[name](rng, height, width))
