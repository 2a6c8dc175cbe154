"""Things to hide behind: drawn as sprites of one picture, each wide enough to cover what passes behind it."""

import numpy as np

from hibari.worlds.pack import MARGIN, Sprite
from hibari.worlds.painting import block, colour, disc, gradient, noise, paint, tint

PROPS = ("brick wall", "boulder", "bush", "wooden crate", "stone pillar")


def draw(rng: np.random.Generator, name: str, height: int, width: int) -> Sprite:
    """The prop of that name as a one-frame sprite of `height` x `width` pixels."""
    canvas, mask = _SHAPES[name](rng, height, width)
    pixels = np.concatenate([np.clip(canvas, 0, 1) * mask[..., None], mask[..., None]], -1)
    still = (np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))) * 255 + 0.5).astype(np.uint8)
    return Sprite(name, still[None])


def _brick_wall(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    canvas = gradient(height, width, [(0, colour("d8cbbd")), (1, colour("c9bbab"))])
    tall = max(5.0, min(height, width) / 7)
    gap = max(0.8, tall * 0.1)
    for row in range(int(height / tall) + 1):
        for column in range(-1, int(width / (2 * tall)) + 2):
            x, y = (column + 0.5 * (row % 2)) * 2 * tall, row * tall
            block(canvas, x + gap, y + gap, x + 2 * tall - gap, y + tall - gap, tint(rng, "b5533c", 0.05))
    return canvas, np.ones((height, width), np.float32)


def _boulder(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    canvas = gradient(height, width, [(0, tint(rng, "a3a7ad")), (1, tint(rng, "63686f"))])
    canvas *= 0.9 + 0.2 * noise(rng, height, width, 5, 5)[..., None]
    return canvas, _superellipse(height, width, 3.5)


def _bush(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    canvas = gradient(height, width, [(0, tint(rng, "5fae4c")), (1, tint(rng, "2f6f34"))])
    for _ in range(40):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        leaf = disc(height, width, x, y, 0.06 * max(height, width), 2.0)
        paint(canvas, leaf * 0.5, tint(rng, ("6fc057", "3d8a3f")[rng.integers(2)]))
    return canvas, _superellipse(height, width, 4.5)


def _wooden_crate(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    canvas = gradient(height, width, [(0, tint(rng, "c08a4e")), (1, tint(rng, "a87238"))])
    bar, dark = 0.1 * min(height, width), colour("7f5526")
    for row in np.linspace(0, height, 6)[1:-1]:
        block(canvas, -1, row - 0.6, width + 1, row + 0.6, dark)
    frame = tint(rng, "8f6230")
    for left, top, right, bottom in (
        (-1, -1, bar, height + 1),
        (width - bar, -1, width + 1, height + 1),
        (-1, -1, width + 1, bar),
        (-1, height - bar, width + 1, height + 1),
    ):
        block(canvas, left, top, right, bottom, frame)
    return canvas, np.ones((height, width), np.float32)


def _stone_pillar(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    across = (np.arange(width, dtype=np.float32) + 0.5) / width
    shade = 0.72 + 0.28 * np.sin(np.pi * across) + 0.04 * np.sin(14 * np.pi * across)
    canvas = gradient(height, width, [(0, tint(rng, "ece6da")), (1, tint(rng, "d9d0c0"))]) * shade[None, :, None]
    for row in (0.06, 0.94):
        block(canvas, -1, row * height - 1, width + 1, row * height + 1, colour("a79d8c"))
    return canvas.astype(np.float32), np.ones((height, width), np.float32)


def _superellipse(height: int, width: int, power: float) -> np.ndarray:
    """Mask of a rounded rectangle; the higher the power, the squarer."""
    y = np.abs(np.linspace(-1, 1, height, dtype=np.float32))[:, None]
    x = np.abs(np.linspace(-1, 1, width, dtype=np.float32))[None]
    return np.clip((1 - (x**power + y**power) ** (1 / power)) * min(height, width) / 2, 0, 1)


_SHAPES = {
    "brick wall": _brick_wall,
    "boulder": _boulder,
    "bush": _bush,
    "wooden crate": _wooden_crate,
    "stone pillar": _stone_pillar,
}
