"""Writing the mark: the tile that a search will read best, found frame by frame with the reader in the loop.

What a search will see of a frame folds into one tile, nearly as a linear map, so a frame is measured once and the tile
is then improved on 128 x 128 numbers: power goes to the frequencies that are still unsure, and to quiet ones before
those that the picture drowns out. A frame is marked alone, so single pictures work as well and a cut needs no
care. No reading of marks here: see `search.py`.
"""

import numpy as np
import torch
from torch.nn import functional

from hibari.provenance.watermark import residual
from hibari.provenance.watermark.keys import WatermarkKey
from hibari.provenance.watermark.tile import CLASS, SIDE, Pattern, layout

PSNR = 41.3  # decibels of a marked frame against the frame before
ROUNDS = 6
SURE = 2.0  # standard deviations of noise: a frequency that speaks for the id so clearly yields to others
ATTACK = 3.0  # how much noise an attack is expected to add, in units of the picture's own mean noise
BATCH = 4  # frames at once: more leave the processor's cache


class Marker:
    """Marks frames of one size with one id: `value` is a generation id's 48 bits."""

    def __init__(
        self, key: WatermarkKey, value: int, height: int, width: int, *, device: str = "cpu", psnr: float = PSNR
    ) -> None:
        self.size = (height, width)
        self.device = torch.device(device)
        self.psnr = psnr
        ratio = min(1.0, CLASS / min(height, width))
        self._work = (round(height * ratio), round(width * ratio))
        rows, columns = layout().everything.T
        plane = np.zeros((SIDE, SIDE // 2 + 1), np.complex64)
        plane[rows, columns] = Pattern(key).whole(value)
        target = torch.from_numpy(plane).to(self.device)
        self._used = target != 0
        self._signs = torch.complex(target.real.sign(), target.imag.sign())

    def mark(self, frames: np.ndarray) -> np.ndarray:
        """Marked copies of uint8 (T, H, W, 3) frames of this marker's size."""
        assert frames.dtype == np.uint8 and frames.shape[1:] == (*self.size, 3), (frames.dtype, frames.shape)
        marked = np.empty_like(frames)
        with torch.inference_mode():
            for start in range(0, len(frames), BATCH):
                batch = torch.tensor(frames[start : start + BATCH], device=self.device)
                marked[start : start + BATCH] = self._mark(batch).cpu().numpy()
        return marked

    def _mark(self, frames: torch.Tensor) -> torch.Tensor:
        brightness = residual.luma(frames)
        if self._work != self.size:
            brightness = functional.interpolate(brightness[:, None], self._work, mode="area")[:, 0]
        change = self._change(brightness)
        if self._work != self.size:
            change = functional.interpolate(change[:, None], self.size, mode="bicubic", align_corners=False)[:, 0]
        power = change.square().mean(dim=(1, 2), keepdim=True)
        change *= 255 * 10 ** (-self.psnr / 20) * power.clamp_min(1e-12).rsqrt()
        return (frames + change[..., None]).round_().clamp_(0, 255).to(torch.uint8)

    def _change(self, brightness: torch.Tensor) -> torch.Tensor:
        """What to add to the brightness (B, H, W), but for its strength."""
        sigma = 255 * 10 ** (-self.psnr / 20)
        detail, variance = residual.measure(brightness)
        mask = visibility(brightness, variance)
        variance = variance + (sigma * mask).square()  # the mark itself is part of what the search will measure
        felt = torch.where(detail.square() < residual.LIMIT**2 * variance, mask / variance, 0.0)
        host = fold(residual.weigh(detail, variance))
        best = self._tiles(host, fold(felt), fold(mask.square()), sigma)
        return mask.mul_(unfold(best, brightness.shape[1:]))

    def _tiles(self, host: torch.Tensor, felt: torch.Tensor, cost: torch.Tensor, sigma: float) -> torch.Tensor:
        """The best tiles (B, SIDE, SIDE).

        `host` is what the reader sees of the unmarked frames, `felt` how much it sees of a tile's pixel, and `cost`
        that pixel's share of the allowed power, all folded over the frame.
        """
        noise = self._noise(torch.fft.rfft2(host))
        quiet = torch.where(self._used, noise.rsqrt(), 0.0)
        shape = felt / cost.clamp_min(1e-3)

        def scaled(plane: torch.Tensor) -> torch.Tensor:
            tiles = torch.fft.irfft2(plane, s=(SIDE, SIDE)) * shape
            power = (tiles.square() * cost).mean(dim=(1, 2), keepdim=True)
            return tiles * (sigma * power.clamp_min(1e-12).rsqrt())

        tiles = scaled(quiet * self._signs)
        for _ in range(ROUNDS):
            plane = torch.fft.rfft2(host + tiles * felt) * quiet
            # Where the id is already spoken clearly, more power would be wasted.
            real = torch.sigmoid(-plane.real * self._signs.real / SURE) * self._signs.real
            imag = torch.sigmoid(-plane.imag * self._signs.imag / SURE) * self._signs.imag
            tiles = 0.5 * (tiles + scaled(quiet * torch.complex(real, imag)))
        return tiles

    def _noise(self, plane: torch.Tensor) -> torch.Tensor:
        """The power that a search will find around each frequency of folded frames."""
        power = plane.real.square() + plane.imag.square()
        wrapped = functional.pad(power[:, None], (2, 2, 2, 2), mode="replicate")
        around = functional.avg_pool2d(wrapped, 5, stride=1)[:, 0]
        return (around + ATTACK * power[:, self._used].mean(dim=1)[:, None, None]).clamp_min(1e-3)


def visibility(brightness: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """How strong a change may be at each pixel: more where there is texture, less in the deepest darks and lights."""
    mask = variance.sqrt().mul_(0.03).add_(0.85).clamp_(0.9, 1.6)
    return mask.mul_(((brightness - 4) / 40).clamp_(0.35, 1)).mul_(((251 - brightness) / 30).clamp_(0.35, 1))


def fold(planes: torch.Tensor) -> torch.Tensor:
    """The mean of all tiles of (B, H, W) planes: (B, SIDE, SIDE); the frame's edge cuts tiles, which count in part."""
    height, width = planes.shape[1:]
    down, right = -height % SIDE, -width % SIDE
    padded = functional.pad(planes, (0, right, 0, down))
    tiles = padded.unflatten(1, (-1, SIDE)).unflatten(3, (-1, SIDE)).sum(dim=(1, 3))
    return tiles * (SIDE * SIDE / (height * width))


def unfold(tiles: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Tiles (B, SIDE, SIDE) repeated over planes (B, *size)."""
    height, width = size
    return tiles.repeat(1, -(-height // SIDE), -(-width // SIDE))[:, :height, :width]
