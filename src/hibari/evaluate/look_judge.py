"""The judge of looks: which gender and which skin tone of a kind a clip shows. It learns nothing.

The sprites are known, so every look of the kind that was asked for is laid over the frames, at every place and size, in
every pose and as soft as the frame is, and the one that explains the pixels best is what is seen; where none explains
them well, the kind is not recognised. It reads upright things of a size that does not change much within a frame: what
people.py asks for.

Legend: N templates, C channels (red, green, blue and the sum of their squares), H W rows and columns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from hibari.evaluate import spoiling
from hibari.worlds import SpritePack
from hibari.worlds.looks import Look
from hibari.worlds.pack import MARGIN

LOOKED = 3  # frames of a clip, evenly apart
RECOGNISED = 0.75  # share of a sprite's own variance that must be explained
SOLID = 230  # alpha from which a pixel is the sprite's alone
COARSE = 4  # the frame is searched at a quarter of its size
COARSE_POSES = 4  # of a sprite's loop
COARSE_SIDES = tuple(0.24 * 1.13**step for step in range(9))  # of the frame's shorter side: 0.24 to 0.64
SOFTNESS = (0.0, 1.5, 3.0)  # pixels of blur that a clip may have: what a decoder loses is not the look's
GUESSES = 6  # of the best finds at a quarter of the size, looked at closely
FINER = (0.9, 0.95, 1.0, 1.05, 1.1)  # of the side that was found
NEAR_POSES = (-4, -3, -2, -1, 0, 1, 2, 3, 4)  # frames of the loop round the one that was found
NEXT_POSES = (-1, 0, 1)
FAR = 1e3  # a square that no colour has
NEAR = 5  # pixels around the place that was found


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """The look that explains a clip best, None where none does well, and the share of its variance it explains."""

    look: Look | None
    fit: float


@dataclass(frozen=True)
class _Template:
    """One look in a pose, size and softness: `colours` (3, h, w) in 0..1, `solid` (h, w) 1 where it covers all."""

    look: int
    pose: int
    side: int
    colours: np.ndarray
    solid: np.ndarray
    softness: float


@dataclass(frozen=True)
class _Found:
    """The best place of each template in a frame: centre row and column in pixels, and what is left unexplained."""

    template: _Template
    row: float
    column: float
    error: float
    fit: float


class LookJudge:
    """Reads the look of a kind out of frames, with the sprites of a pack."""

    def __init__(self, pack: SpritePack) -> None:
        self.pack = pack

    def read(self, frames: np.ndarray, kind: str) -> Sighting:
        """The look of `kind` in a clip `(T, H, W, 3)` uint8; `kind` is one of the pack's with several looks."""
        looks = self.pack.looks[kind]
        search = _Search(self.pack, looks, min(frames.shape[1:3]))
        chosen = np.unique(np.linspace(0, len(frames) - 1, min(LOOKED, len(frames))).round().astype(int))
        errors, fits = np.zeros(len(looks)), np.zeros(len(looks))
        for index in chosen:
            for which, found in search.explain(frames[index]).items():
                errors[which] += found.error / len(chosen)
                fits[which] += found.fit / len(chosen)
        best = int(errors.argmin())
        fit = float(fits[best])
        return Sighting(look=looks[best] if fit >= RECOGNISED else None, fit=round(fit, 4))


class _Search:
    """One kind's looks, to be found in frames whose shorter side is `shorter`."""

    def __init__(self, pack: SpritePack, looks: Sequence[Look], shorter: int) -> None:
        fresh = SpritePack(pack.folder, tuple(pack.entries.values()))  # forgets its pictures after this kind
        self.sprites = [fresh.sprite(look.sprite) for look in looks]
        sides = [max(6, round(share * shorter / COARSE)) for share in COARSE_SIDES]
        self.rough = [
            [self._draw(which, pose, side) for which in range(len(looks)) for pose in self._poses(which)]
            for side in sides
        ]

    def explain(self, frame: np.ndarray) -> dict[int, _Found]:
        """How well each look explains a frame where the kind fits best: place, pose, softness, and then the look."""
        small = np.asarray(Image.fromarray(frame).reduce(COARSE))
        rough = sorted((found for templates in self.rough for found in _place(small, templates)), key=_fit)
        guess, near = max((self._nearer(frame, found) for found in rough[-GUESSES:]), key=lambda pair: pair[0].fit)
        sides = [guess.template.side - 1, guess.template.side, guess.template.side + 1]
        guess = max(
            (
                found
                for softness in SOFTNESS
                for found in self._try(near, [guess.template.look], guess.template.pose, (0,), sides, softness)
            ),
            key=_fit,
        )
        looks, softness = range(len(self.sprites)), guess.template.softness
        best: dict[int, _Found] = {}
        for found in self._try(near, looks, guess.template.pose, NEXT_POSES, sides, softness):
            known = best.get(found.template.look)
            if known is None or found.fit > known.fit:
                best[found.template.look] = found
        return best

    def _nearer(self, frame: np.ndarray, rough: _Found) -> tuple[_Found, np.ndarray]:
        """A find at a quarter of the size made exact, and the window round it."""
        sides = [round(rough.template.side * COARSE * finer) for finer in FINER]
        near = _around(frame, rough.row * COARSE, rough.column * COARSE, max(sides) // 2 + NEAR)
        return max(self._try(near, [rough.template.look], rough.template.pose, NEAR_POSES, sides), key=_fit), near

    def _try(
        self,
        window: np.ndarray,
        which: Iterable[int],
        pose: int,
        steps: Sequence[int],
        sides: Sequence[int],
        softness: float = 0.0,
    ) -> list[_Found]:
        """The best places in a window of some looks, in poses so many steps from one, at some sizes."""
        poses = {look: sorted({(pose + step) % self.sprites[look].num_frames for step in steps}) for look in which}
        found = []
        for side in sides:
            drawn = [self._draw(look, at, side, softness) for look, able in poses.items() for at in able]
            found += _place(window, drawn)
        return found

    def _poses(self, which: int) -> list[int]:
        """A few poses of a look, evenly over its loop."""
        count = self.sprites[which].num_frames
        return sorted({count * step // COARSE_POSES for step in range(COARSE_POSES)})

    def _draw(self, which: int, pose: int, side: int, softness: float = 0.0) -> _Template:
        """A look in a pose at a size, blurred by so many pixels before its margin is cut off."""
        sprite = self.sprites[which]
        picture = sprite.frames[pose]
        scale = side / max(sprite.size)
        width, height = max(1, round(sprite.size[0] * scale)), max(1, round(sprite.size[1] * scale))
        rim = int(MARGIN * scale) if softness else 0
        outer = MARGIN - rim / scale
        box = (outer, outer, picture.width - outer, picture.height - outer)
        size = (width + 2 * rim, height + 2 * rim)
        pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box), np.float32)
        if softness:
            blurred = spoiling.blur(torch.from_numpy(pixels.transpose(2, 0, 1))[None], softness)
            pixels = blurred[0, :, rim : rim + height, rim : rim + width].numpy().transpose(1, 2, 0)
        solid = (pixels[..., 3] >= SOLID).astype(np.float32)
        colours = pixels[..., :3] / np.maximum(pixels[..., 3:], 1) * solid[..., None]
        return _Template(which, pose, side, colours.transpose(2, 0, 1), solid, softness)


def _fit(found: _Found) -> float:
    return found.fit


def _around(frame: np.ndarray, row: float, column: float, reach: int) -> np.ndarray:
    """The square of twice `reach` round a place, moved so that it lies in the frame, or as much of it as there is."""
    height, width = frame.shape[:2]
    top = min(max(0, round(row) - reach), max(0, height - 2 * reach))
    left = min(max(0, round(column) - reach), max(0, width - 2 * reach))
    return frame[top : top + 2 * reach, left : left + 2 * reach]


def _place(frame: np.ndarray, templates: list[_Template]) -> list[_Found]:
    """The best place of each template, of about one size, inside a frame `(H, W, 3)` uint8; none if too large."""
    able = [t for t in templates if t.solid.shape[0] <= frame.shape[0] and t.solid.shape[1] <= frame.shape[1]]
    able = [t for t in able if t.solid.sum() >= 8]
    if not able:
        return []
    heights, widths = zip(*(t.solid.shape for t in able), strict=True)
    height, width = max(heights), max(widths)
    kernels_NCHW = torch.zeros(len(able), 4, height, width)
    area, own, spread = np.zeros(len(able)), np.zeros(len(able)), np.zeros(len(able))
    for index, template in enumerate(able):
        rows, columns = template.solid.shape
        kernels_NCHW[index, :3, :rows, :columns] = torch.from_numpy(-2 * template.colours)
        kernels_NCHW[index, 3, :rows, :columns] = torch.from_numpy(template.solid)
        area[index], own[index] = template.solid.sum(), np.square(template.colours).sum()
        spread[index] = own[index] - np.square(template.colours.sum((1, 2))).sum() / area[index]
    pixels_CHW = torch.from_numpy(frame.transpose(2, 0, 1).astype(np.float32) / 255)
    squares_CHW = pixels_CHW.square().sum(0, keepdim=True)
    # Kernels are as large as the largest template: a margin that nothing explains lets smaller ones reach the edge.
    margin = (0, width - min(widths), 0, height - min(heights))
    pixels_CHW = torch.cat([F.pad(pixels_CHW, margin), F.pad(squares_CHW, margin, value=FAR)])
    left_NHW = F.conv2d(pixels_CHW[None], kernels_NCHW)[0]
    places = left_NHW.flatten(1).argmin(1).tolist()
    columns_there = left_NHW.shape[-1]
    found = []
    for index, template in enumerate(able):
        row, column = divmod(places[index], columns_there)
        error = max(0.0, float(left_NHW[index, row, column]) + own[index])
        rows, columns = template.solid.shape
        found.append(
            _Found(
                template,
                row + rows / 2,
                column + columns / 2,
                error / area[index],
                1 - error / max(spread[index], 1e-6),
            )
        )
    return found
