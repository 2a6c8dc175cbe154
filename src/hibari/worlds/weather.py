"""Weather: rain, snowfall and fog, laid over finished frames."""

import numpy as np

from hibari.worlds.painting import noise

WEATHERS = ("rain", "snowfall", "fog")
_RAIN, _SNOW, _FOG = (np.array(colour, np.float32) for colour in ((214, 226, 240), (252, 253, 255), (214, 219, 224)))


def fall(rng: np.random.Generator, name: str, frames: np.ndarray, fps: int) -> None:
    """Lay the weather over `(T, H, W, 3)` uint8 frames, in place."""
    {"rain": _rain, "snowfall": _snowfall, "fog": _fog}[name](rng, frames, fps)


def _over(frame: np.ndarray, mask: np.ndarray, shade: np.ndarray) -> None:
    frame[:] = frame + (shade - frame) * mask[..., None] + 0.5


def _shift(layer: np.ndarray, down: float, right: float) -> np.ndarray:
    """A layer moved by fractions of a pixel, coming in again on the far side."""
    y, x = int(np.floor(down)), int(np.floor(right))
    part_y, part_x = down - y, right - x
    moved = np.roll(layer, (y, x), (0, 1))
    moved = moved * (1 - part_y) + np.roll(moved, 1, 0) * part_y
    return moved * (1 - part_x) + np.roll(moved, 1, 1) * part_x


def _rain(rng: np.random.Generator, frames: np.ndarray, fps: int) -> None:
    """Slanted streaks; the whole picture a little greyer."""
    count, height, width, _ = frames.shape
    slant, length = rng.uniform(-0.25, 0.25), max(4, round(0.07 * height))
    layer = np.zeros((height, width), np.float32)
    for _ in range(round(0.006 * height * width)):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        steps = np.arange(length)
        layer[((y + steps) % height).astype(int), ((x + slant * steps) % width).astype(int)] = rng.uniform(0.25, 0.6)
    speed = rng.uniform(1.6, 2.2) * height / fps
    for index in range(count):
        _over(frames[index], np.full((height, width), 0.14, np.float32), _FOG * 0.62)
        _over(frames[index], _shift(layer, speed * index, speed * slant * index), _RAIN)


def _snowfall(rng: np.random.Generator, frames: np.ndarray, fps: int) -> None:
    """Two layers of flakes, the nearer ones larger and faster, swaying."""
    count, height, width, _ = frames.shape
    side = min(height, width)
    for radius, speed in ((0.006, 0.22), (0.011, 0.36)):
        layer, reach = np.zeros((height, width), np.float32), max(1.0, radius * side)
        span = np.arange(-int(np.ceil(reach + 1)), int(np.ceil(reach + 1)) + 1)
        for _ in range(round(0.0022 * height * width * (128 / side) ** 1.5)):
            y, x = rng.uniform(0, height), rng.uniform(0, width)
            rows, columns = np.floor(y).astype(int) + span, np.floor(x).astype(int) + span
            distance = np.hypot((rows + 0.5 - y)[:, None], (columns + 0.5 - x)[None])
            window = np.ix_(rows % height, columns % width)
            layer[window] = np.maximum(layer[window], np.clip(reach - distance + 0.5, 0, 1) * 0.9)
        sway, phase = rng.uniform(0.01, 0.03) * side, rng.uniform(0, 2 * np.pi)
        for index in range(count):
            right = sway * np.sin(phase + 2.2 * index / fps)
            _over(frames[index], _shift(layer, speed * height * index / fps, right), _SNOW)


def _fog(rng: np.random.Generator, frames: np.ndarray, fps: int) -> None:
    """A pale veil, thicker in some parts, that drifts."""
    count, height, width, _ = frames.shape
    veil = noise(rng, height, width, 3, 3)
    # The right edge is blended into the left one, so that the veil can go round.
    seam = np.linspace(0, 1, width // 4, dtype=np.float32)
    veil = np.concatenate([veil[:, : -len(seam)], veil[:, -len(seam) :] * (1 - seam) + veil[:, : len(seam)] * seam], 1)
    veil = np.clip(0.38 + 0.4 * (veil - 0.5), 0.15, 0.62)
    speed = rng.choice([-1, 1]) * rng.uniform(0.06, 0.14) * width / fps
    for index in range(count):
        _over(frames[index], _shift(veil, 0.0, speed * index), _FOG)
