"""A few lines on two logarithmic axes, as a picture. It draws and knows nothing of what the numbers are."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from hibari.worlds.sheet import INK, PAPER

FINE = 2  # drawn at so many times its size, then made smaller, so that slanted lines are smooth
HEIGHT = 430
LEFT, RIGHT, TOP, BOTTOM = 90, 130, 66, 62  # pixels round the axes
TITLE_SIZE, TEXT_SIZE = 24, 18
GRID, FADED = (226, 226, 222), (120, 120, 126)
PALE, DEEP = (126, 182, 214), (28, 74, 128)  # from the first thin line to the last
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)  # what is marked of each tenfold upwards
TITLE, BELOW = "Held-out flow loss, by noise level t", "training compute, FLOPs"


@dataclass(frozen=True)
class Line:
    """A name and one value for each place along the lower axis; a bold one stands out."""

    name: str
    values: Sequence[float]
    bold: bool = False


class _Axes(NamedTuple):
    """Where logarithms lie on the picture: the box in pixels, the lowest and highest value across and upwards."""

    left: float
    top: float
    right: float
    bottom: float
    across: tuple[float, float]
    up: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        along = (log10(x) - log10(self.across[0])) / (log10(self.across[1]) - log10(self.across[0]))
        rise = (log10(y) - log10(self.up[0])) / (log10(self.up[1]) - log10(self.up[0]))
        return self.left + along * (self.right - self.left), self.bottom - rise * (self.bottom - self.top)


def draw_curve(places: Sequence[float], lines: Sequence[Line], width: int) -> Image.Image:
    """The lines over `places`, which rise; all values are above 0. Names stand at the lines' ends."""
    sheet = Image.new("RGB", (width * FINE, HEIGHT * FINE), PAPER)
    pen = ImageDraw.Draw(sheet)
    values = [value for line in lines for value in line.values]
    box = (LEFT * FINE, TOP * FINE, (width - RIGHT) * FINE, (HEIGHT - BOTTOM) * FINE)
    axes = _Axes(*box, (places[0] / 1.25, places[-1] * 1.05), (min(values) / 1.12, max(values) * 1.12))
    _grid(pen, axes, places)
    names = []
    thin = [line for line in lines if not line.bold]
    for line in sorted(lines, key=lambda line: line.bold):
        colour = INK if line.bold else _between(thin.index(line) / max(1, len(thin) - 1))
        dots = [axes.place(x, y) for x, y in zip(places, line.values, strict=True)]
        pen.line(dots, fill=colour, width=FINE * (4 if line.bold else 2), joint="curve")
        for x, y in dots:
            reach = FINE * (6 if line.bold else 4)
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
        names.append((dots[-1][1], line.name, colour))
    font, lowest = ImageFont.load_default(TEXT_SIZE * FINE), 0.0
    for y, name, colour in sorted(names):  # from the top down, none over another
        lowest = max(y, lowest + 1.15 * TEXT_SIZE * FINE)
        pen.text((axes.right + 16 * FINE, lowest), name, fill=colour, font=font, anchor="lm")
    pen.text((28 * FINE, 20 * FINE), TITLE, fill=INK, font=ImageFont.load_default(TITLE_SIZE * FINE))
    return sheet.resize((width, HEIGHT), Image.Resampling.LANCZOS)


def in_short(number: float) -> str:
    """A large number in few letters: 4.0e15."""
    return f"{number:.1e}".replace("e+", "e")


def _grid(pen: ImageDraw.ImageDraw, axes: _Axes, places: Sequence[float]) -> None:
    font = ImageFont.load_default(TEXT_SIZE * FINE)
    for mark in _marks(*axes.up):
        _, y = axes.place(places[0], mark)
        pen.line((axes.left, y, axes.right, y), fill=GRID, width=FINE)
        pen.text((axes.left - 10 * FINE, y), f"{mark:g}", fill=FADED, font=font, anchor="rm")
    for place in places:
        x, _ = axes.place(place, axes.up[0])
        pen.line((x, axes.top, x, axes.bottom), fill=GRID, width=FINE)
        pen.text((x, axes.bottom + 8 * FINE), in_short(place), fill=FADED, font=font, anchor="mt")
    pen.line((axes.left, axes.bottom, axes.right, axes.bottom), fill=FADED, width=FINE)
    middle = (axes.left + axes.right) / 2
    pen.text((middle, axes.bottom + 34 * FINE), BELOW, fill=FADED, font=font, anchor="mt")


def _marks(low: float, high: float) -> list[float]:
    """Round numbers between two others."""
    tens = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [mark for ten in tens for step in STEPS if low <= (mark := step * 10.0**ten) <= high]


def _between(share: float) -> tuple[int, int, int]:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(PALE, DEEP, strict=True))
    return red, green, blue
