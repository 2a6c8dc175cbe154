"""Brushes for backgrounds: gradients, soft noise, hill lines, discs. Canvases are `(H, W, 3)` float32 in 0..1."""

from collections.abc import Sequence
from math import ceil, floor

import numpy as np
from PIL import Image

Colour = tuple[float, float, float] | np.ndarray


def colour(code: str) -> np.ndarray:
    """The colour of a "rrggbb" code, float32 in 0..1."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255


def tint(rng: np.random.Generator, code: str, amount: float = 0.035) -> np.ndarray:
    """A colour near `code`: its brightness and hue moved a little."""
    return np.clip(colour(code) + rng.normal(0, amount, 3) * 0.6 + rng.normal(0, amount), 0, 1).astype(np.float32)


def gradient(height: int, width: int, stops: Sequence[tuple[float, Colour]]) -> np.ndarray:
    """A canvas whose colour runs from top to bottom through `stops`, (position in 0..1, colour)."""
    y = (np.arange(height) + 0.5) / height
    places = [place for place, _ in stops]
    column = np.stack([np.interp(y, places, [float(c[i]) for _, c in stops]) for i in range(3)], -1)
    return np.broadcast_to(column[:, None].astype(np.float32), (height, width, 3)).copy()


def noise(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Smooth noise in about 0..1, `(H, W)`, with that many bumps down and across."""
    grid = Image.fromarray(rng.random((max(2, rows), max(2, columns)), np.float32))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))


def ridge(rng: np.random.Generator, width: int, waves: Sequence[tuple[float, float]]) -> np.ndarray:
    """A hill line `(W,)` round 0: a sum of sines, (waves across a width of 1, height), with random phases."""
    x = np.arange(width) / width
    line = np.zeros(width, np.float32)
    for count, height in waves:
        line += height * np.sin(2 * np.pi * (count * rng.uniform(0.75, 1.25) * x + rng.random())).astype(np.float32)
    return line


def below(height: int, line: np.ndarray | float) -> np.ndarray:
    """Mask `(H, W)` of what lies below a line given in pixels from the top, with a soft edge of one pixel."""
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    return np.asarray(np.clip(y - line + 0.5, 0, 1))


def disc(height: int, width: int, x: float, y: float, radius: float, soft: float = 1.0) -> np.ndarray:
    """Mask `(H, W)` of a disc, its edge `soft` pixels wide."""
    dy = np.arange(height, dtype=np.float32)[:, None] + 0.5 - y
    dx = np.arange(width, dtype=np.float32)[None] + 0.5 - x
    return np.asarray(np.clip((radius - np.sqrt(dx * dx + dy * dy)) / soft + 0.5, 0, 1))


def spot(
    canvas: np.ndarray, x: float, y: float, radius: float, shade: Colour, *, soft: float = 1.0, strength: float = 1.0
) -> None:
    """Paint a disc, working on the pixels near it alone."""
    reach = radius + soft
    window, left, top = crop(canvas, x - reach, y - reach, x + reach, y + reach)
    height, width, _ = window.shape
    paint(window, disc(height, width, x - left, y - top, radius, soft) * strength, shade)


def block(
    canvas: np.ndarray, left: float, top: float, right: float, bottom: float, shade: Colour, strength: float = 1.0
) -> None:
    """Paint a rectangle with soft edges, working on its pixels alone."""
    window, x, y = crop(canvas, left - 1, top - 1, right + 1, bottom + 1)
    height, width, _ = window.shape
    rows, columns = np.arange(height, dtype=np.float32) + y + 0.5, np.arange(width, dtype=np.float32) + x + 0.5
    down = np.clip(rows - top + 0.5, 0, 1) * np.clip(bottom - rows + 0.5, 0, 1)
    across = np.clip(columns - left + 0.5, 0, 1) * np.clip(right - columns + 0.5, 0, 1)
    paint(window, down[:, None] * across[None] * strength, shade)


def crop(canvas: np.ndarray, left: float, top: float, right: float, bottom: float) -> tuple[np.ndarray, int, int]:
    """The part of a canvas within some bounds (a view), and its own left and top."""
    height, width, _ = canvas.shape
    x0, y0 = min(max(0, floor(left)), width), min(max(0, floor(top)), height)
    return canvas[y0 : max(y0, ceil(bottom)), x0 : max(x0, ceil(right))], x0, y0


def paint(canvas: np.ndarray, mask: np.ndarray, shade: Colour) -> None:
    """Lay a colour, or another canvas, over `canvas` where `mask` says so, in place."""
    canvas += (shade - canvas) * mask[..., None]


def finish(canvas: np.ndarray) -> np.ndarray:
    """The canvas as `(H, W, 3)` uint8."""
    return np.asarray(np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
