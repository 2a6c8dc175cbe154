"""The judge of one frame: a small convolutional network that says what is where, and in which place.

It looks at half the resolution and works at any size. Three answers: where things are, of whatever kind
(a heat map with offset and size, as in CenterNet, Zhou et al. 2019, arXiv 1904.07850), which objects of its vocabulary
there are (a heat map each, so "none of them" is the absence of heat), and the background, with "none of them" as one
class. How it learns is judge_training.py's business.

Legend: B batch, C channels, H W rows and columns of the map, K objects, P backgrounds and none, T frames.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 8  # pixels of the frame to one cell of the heat maps
COARSEST = 16  # heights and widths are padded to multiples of this
BANDS = 4  # rows that the background is looked at in: a sea is below, a sky above
HEAT_PRIOR = -4.0  # logit of heat before learning: nearly all cells are empty
SEEN = 0.3  # heat from which something is there
NAMED = 0.5  # heat from which it is an object of the vocabulary


@dataclass(frozen=True, kw_only=True)
class FrameJudgeConfig:
    """The vocabulary that the network tells apart, and its channels at strides 4, 8 and 16."""

    objects: tuple[str, ...]
    backgrounds: tuple[str, ...]
    widths: tuple[int, int, int] = (32, 64, 96)


class Maps(NamedTuple):
    """The network's answers: logits of heat, `box_B3HW` (offset of the centre in cells, log of the size in pixels)."""

    things_BHW: Tensor
    objects_BKHW: Tensor
    box_B3HW: Tensor
    place_BP: Tensor


@dataclass(frozen=True)
class Readings:
    """What was seen in each frame of a clip.

    `presence` (T,) heat of the surest thing, `centre` (T, 2) its x and y and `size` (T,) its longer side in pixels,
    `objects` (T, K) heat of each object of the vocabulary, `spots` (T, K, 2) x and y in pixels of where it is hottest,
    `places` (T, P) probabilities, the last one of none.
    """

    presence: np.ndarray
    centre: np.ndarray
    size: np.ndarray
    objects: np.ndarray
    spots: np.ndarray
    places: np.ndarray


class Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = _convolution(dim, dim)
        self.second = _convolution(dim, dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.relu(x_BCHW + self.second(F.relu(self.first(x_BCHW))))


class FrameJudge(nn.Module):
    """Pixels at half resolution, in [-1, 1], to heat maps and a background."""

    def __init__(self, config: FrameJudgeConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        self.stem = _convolution(3, fine, kernel=5, stride=2)
        self.down = _convolution(fine, middle, stride=2)
        self.middle = Block(middle)
        self.further = _convolution(middle, coarse, stride=2)
        self.coarse = nn.Sequential(Block(coarse), Block(coarse))
        self.back = nn.Conv2d(coarse, middle, 1)
        self.joined = _convolution(middle, middle)
        self.things = nn.Conv2d(middle, 1, 1)
        self.objects = nn.Conv2d(middle, len(config.objects), 1)
        self.box = nn.Conv2d(middle, 3, 1)
        self.place = nn.Linear(coarse * BANDS, len(config.backgrounds) + 1)
        nn.init.constant_(_bias(self.things), HEAT_PRIOR)
        nn.init.constant_(_bias(self.objects), HEAT_PRIOR)

    def forward(self, x_BCHW: Tensor) -> Maps:
        middle = self.middle(F.relu(self.down(F.relu(self.stem(x_BCHW)))))
        coarse = self.coarse(F.relu(self.further(middle)))
        back = F.interpolate(self.back(coarse), size=middle.shape[-2:], mode="nearest")
        joined = F.relu(self.joined(middle + back))
        place_BP = self.place(F.adaptive_avg_pool2d(coarse, (BANDS, 1)).flatten(1))
        return Maps(self.things(joined)[:, 0], self.objects(joined), self.box(joined), place_BP)

    @torch.inference_mode()
    def read(self, frames: np.ndarray) -> Readings:
        """What is in the frames of a clip, `(T, H, W, 3)` uint8."""
        maps = self(to_input(frames))
        presence, cell_T = maps.things_BHW.sigmoid().flatten(1).max(1)
        objects_TK, cells_TK = maps.objects_BKHW.sigmoid().flatten(2).max(2)
        centre, size = _boxes(maps.box_B3HW, cell_T[:, None])
        spots, _ = _boxes(maps.box_B3HW, cells_TK)
        return Readings(
            presence=presence.numpy(),
            centre=centre[:, 0].numpy(),
            size=size[:, 0].numpy(),
            objects=objects_TK.numpy(),
            spots=spots.numpy(),
            places=maps.place_BP.softmax(1).numpy(),
        )


def _boxes(box_B3HW: Tensor, cells_BN: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (B, N, 2) and longer sides (B, N), in pixels, as they are told in cells that are numbered row by row."""
    told_B3N = box_B3HW.flatten(2).gather(2, cells_BN[:, None].expand(-1, 3, -1))
    columns = box_B3HW.shape[-1]
    centre = torch.stack([cells_BN % columns + told_B3N[:, 0], cells_BN // columns + told_B3N[:, 1]], -1) * CELL
    return centre.double(), told_B3N[:, 2].double().exp()


def to_input(frames: np.ndarray) -> Tensor:
    """Frames `(T, H, W, 3)` uint8 as the network wants them: halved, padded to whole cells, in [-1, 1]."""
    halves_TCHW = halve(torch.from_numpy(frames).permute(0, 3, 1, 2).float())
    height, width = halves_TCHW.shape[-2:]
    multiple = COARSEST // 2
    padding = (0, -width % multiple, 0, -height % multiple)
    return F.pad(halves_TCHW, padding, mode="replicate") / 127.5 - 1


def halve(pixels_BCHW: Tensor) -> Tensor:
    """Pictures at half resolution, each pixel the mean of four; an odd last row or column is dropped."""
    return F.avg_pool2d(pixels_BCHW, 2)


def _convolution(in_dim: int, out_dim: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with batch norm."""
    convolution = nn.Conv2d(in_dim, out_dim, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_dim))


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
