"""The frequency plane of what a search saw, evened out by its own noise, and how pilots are found in it.

Measured once for a window of frames; every key and every lattice then only reads single points of it. A tile that
repeats over a frame is a set of points in the frame's spectrum, so a fold at any size, turn or squeeze is a look-up.
"""

import math
import time

import numpy as np
import torch
from torch.nn import functional

from hibari.provenance.watermark.tile import OUTER, SIDE

FINEST = 0.47  # cycles a pixel: beyond lies nothing but the encoder's noise
CLIP = 2.5  # in standard deviations: no frequency alone may speak louder
NOISE_WIDTH = 2.5 / SIDE  # half the width, in cycles a pixel, over which the noise is measured
TAPER = 8  # pixels at each edge that fade, so that the edges do not ring
CORRELATION_SIDE = 64  # places a search tells apart along each side of a tile; more than twice OUTER
CHUNK = 256


class Spectrum:
    """The whitened spectrum of a residual (H, W), seen from the frame's middle."""

    def __init__(self, residual: torch.Tensor) -> None:
        self.height, self.width = residual.shape
        faded = residual * _fade(self.height)[:, None] * _fade(self.width)[None, :]
        self._rows, self._columns = _fast_size(2 * self.height), _fast_size(2 * self.width)
        canvas = torch.zeros(self._rows, self._columns)
        canvas[: self.height, : self.width] = faded
        canvas = torch.roll(canvas, (-(self.height // 2), -(self.width // 2)), (0, 1))
        plane = torch.fft.fft2(canvas)
        noise = self._noise(plane.real.square() + plane.imag.square())
        plane = plane * noise.clamp_min(1e-12).rsqrt()
        loud = plane.abs().clamp_min(1e-6)
        self._plane = (plane * (CLIP / loud).clamp_max(1.0)).reshape(-1)

    def at(self, lattices: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """What lies at the places (n, 2) of lattices (L, 2, 2): complex (L, n), zero beyond the finest detail."""
        frequencies = places @ lattices.transpose(1, 2)  # (L, n, 2)
        within = (frequencies.abs().amax(dim=-1) < FINEST).to(torch.float32)
        rows, columns = frequencies[..., 0] * self._rows, frequencies[..., 1] * self._columns
        top, left = rows.floor(), columns.floor()
        down, right = rows - top, columns - left
        top, left = top.to(torch.int64), left.to(torch.int64)
        upper, lower = (top % self._rows) * self._columns, ((top + 1) % self._rows) * self._columns
        first, second = left % self._columns, (left + 1) % self._columns
        plane = self._plane
        above = plane[upper + first] * (1 - right) + plane[upper + second] * right
        below = plane[lower + first] * (1 - right) + plane[lower + second] * right
        return (above * (1 - down) + below * down) * within

    def _noise(self, power: torch.Tensor) -> torch.Tensor:
        """The mean power around each frequency; the plane has no edges."""
        box = []
        for size in (self._rows, self._columns):
            box.append(max(1, round(2 * NOISE_WIDTH * size)) | 1)
        wrapped = functional.pad(power[None, None], (box[1] // 2,) * 2 + (box[0] // 2,) * 2, mode="circular")
        along = functional.avg_pool2d(wrapped, (1, box[1]), stride=1)
        return functional.avg_pool2d(along, (box[0], 1), stride=1)[0, 0]


class Correlator:
    """Pilots of some keys against lattices of a spectrum."""

    def __init__(self, places: np.ndarray, pilots: np.ndarray) -> None:
        """`places` (n, 2), the same for all; `pilots` complex (keys, n)."""
        self._raw_places = places
        self.places = torch.from_numpy(places.astype(np.float32))
        self._conjugates = torch.from_numpy(pilots.conj())
        side = CORRELATION_SIDE
        assert side > 2 * OUTER
        self._cells = torch.from_numpy((places[:, 0] % side) * (side // 2 + 1) + places[:, 1])

    def only(self, key: int) -> "Correlator":
        """The same for one of the keys."""
        return Correlator(self._raw_places, self._conjugates[key : key + 1].numpy().conj())

    def survey(self, spectrum: Spectrum, lattices: np.ndarray, deadline: float = math.inf) -> torch.Tensor:
        """The pilots' statistic at the best place, for every key and lattice: float32 (keys, L).

        At a place without a mark it is a standard normal number. Minus infinity stands for lattices that were not
        looked at before the `deadline` (of time.monotonic).
        """
        found = torch.full((len(self._conjugates), len(lattices)), -math.inf)
        for start in range(0, len(lattices), CHUNK):
            seen = spectrum.at(torch.from_numpy(lattices[start : start + CHUNK]), self.places)
            for key, conjugate in enumerate(self._conjugates):
                found[key, start : start + CHUNK] = self._map(seen, conjugate).amax(dim=(1, 2))
            if time.monotonic() > deadline:
                break
        return found

    def place(self, spectrum: Spectrum, lattice: np.ndarray, key: int = 0) -> tuple[float, np.ndarray]:
        """The best place on one lattice, finer than a pixel: statistic, and (row, column) in parts of a tile."""
        seen = spectrum.at(torch.from_numpy(lattice[None]), self.places)
        best = int(self._map(seen, self._conjugates[key]).argmax())
        centre = np.array(divmod(best, CORRELATION_SIDE)) / CORRELATION_SIDE
        steps = np.arange(-4, 5) / (4 * CORRELATION_SIDE)
        around = centre + np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
        phases = torch.from_numpy(np.exp(2j * np.pi * around @ self.places.numpy().T).astype(np.complex64))
        sums = (phases * (seen[0] * self._conjugates[key])).real.sum(dim=1) / _spread(seen)
        return float(sums.max()), around[int(sums.argmax())]

    def _map(self, seen: torch.Tensor, conjugate: torch.Tensor) -> torch.Tensor:
        """The statistic at every place: (L, side, side)."""
        side = CORRELATION_SIDE
        planes = torch.zeros(len(seen), side * (side // 2 + 1), dtype=torch.complex64)
        planes[:, self._cells] = seen * conjugate
        sums = torch.fft.irfft2(planes.view(-1, side, side // 2 + 1), s=(side, side), norm="forward") / 2
        return sums / _spread(seen)[:, None, None]


def _spread(seen: torch.Tensor) -> torch.Tensor:
    """The standard deviation of the sum of such numbers' real parts, were their phases chance."""
    return (seen.abs().square().sum(dim=1) / 2).sqrt().clamp_min(1e-6)


def _fade(size: int) -> torch.Tensor:
    """1 inside, falling to 0 at both edges."""
    steps = torch.arange(size, dtype=torch.float32)
    edge = torch.minimum(steps, size - 1 - steps)
    return (0.5 - 0.5 * torch.cos(torch.pi * ((edge + 0.5) / TAPER).clamp_max(1.0))).to(torch.float32)


def _fast_size(size: int) -> int:
    """The next size up that a fast transform likes: no prime factor above 5."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
