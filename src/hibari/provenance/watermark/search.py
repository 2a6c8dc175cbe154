"""Finding a mark: blind to the clip's size, turn, crop and speed, for all keys at once.

Frames are looked at a few times a second, evened out and averaged over windows of four seconds; each window's spectrum
is then searched for the pilots of every key, first as a plain copy of any size, then turned and squeezed, and what the
best places say is decoded or, where that is too weak, matched against the issued ids. Decoding of files is not here.
"""

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from hibari.provenance.watermark import code, geometry
from hibari.provenance.watermark.claims import RATE, MarkFinding, false_positive_rate
from hibari.provenance.watermark.keys import WatermarkKey
from hibari.provenance.watermark.residual import luma, residual
from hibari.provenance.watermark.spectrum import Correlator, Spectrum
from hibari.provenance.watermark.tile import CLASS, Pattern, layout

LOOKS_A_SECOND = 6.0
WINDOW = 4.0  # seconds
MOST_WINDOWS = 16
LONGEST = 1024  # pixels: larger frames are shrunk, since the tile grows with them
REFINED = 8  # lattices that are looked at more closely
READ = 3  # and of those, how many are decoded
CLIMB, MOST_STEPS = (1.0, 0.5, 0.25, 0.12), 3  # ever smaller bends, each while it helps, in units of the widest step
BANDS = 6  # rings of equal weight in which the mark's strength is measured


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A place in a spectrum where a key's pilots may be."""

    z: float
    key: int
    lattice: np.ndarray
    place: np.ndarray


def find_mark(
    frames: np.ndarray | Iterable[np.ndarray],
    fps: float,
    keys: Sequence[WatermarkKey],
    issued: np.ndarray | None = None,
    *,
    seconds_limit: float = 10.0,
) -> MarkFinding:
    """Search frames (uint8 (H, W, 3), all of one size; one is enough) for a mark of any of the keys.

    `issued` (sorted uint64) lets a mark that is too weak to spell its id be matched against the ids that there are.
    Looking stops after half of `seconds_limit` and searching soon after all of it; what is claimed is what was seen,
    and the finding says where the time ran out.
    """
    deadline, half = (time.monotonic() + seconds_limit * part for part in (1.0, 0.5))
    windows = list(watch(frames, fps, half))
    seen_all = time.monotonic() <= half
    if not windows or not keys:
        return MarkFinding(found=False)
    whole = torch.stack([total for total, _ in windows]).sum(dim=0) / sum(count for _, count in windows)
    views = [whole, *(total / count for total, count in windows if len(windows) > 1)]
    finding = Seeker(keys, issued, len(views) * len(keys)).search(views, deadline)
    return finding if seen_all else replace(finding, whole=False)


def watch(frames: np.ndarray | Iterable[np.ndarray], fps: float, deadline: float) -> Iterator[tuple[torch.Tensor, int]]:
    """Sums of evened-out frames over windows, and how many frames each holds."""
    stride = max(1, round(fps / LOOKS_A_SECOND))
    in_window = max(1, round(WINDOW * fps / stride))
    total, count, windows = torch.zeros(()), 0, 0
    for index, frame in enumerate(frames):
        if index % stride:
            continue
        total = total + look(frame)
        count += 1
        late = time.monotonic() > deadline
        if count == in_window or late:
            yield total, count
            total, count, windows = torch.zeros(()), 0, windows + 1
            if windows == MOST_WINDOWS or late:
                return
    if count >= in_window // 2 or (count and not windows):
        yield total, count


def look(frame: np.ndarray) -> torch.Tensor:
    """What the search sees of one frame: float32 (H, W), shrunk to a short side of 480 where it is larger."""
    with torch.inference_mode():
        brightness = luma(torch.tensor(frame)[None])
        height, width = brightness.shape[1:]
        ratio = min(CLASS / min(height, width), LONGEST / max(height, width))
        if ratio < 1:
            size = (round(height * ratio), round(width * ratio))
            brightness = functional.interpolate(brightness[:, None], size, mode="area")[:, 0]
        return residual(brightness)[0]


class Seeker:
    """Searches views of a clip for some keys."""

    def __init__(self, keys: Sequence[WatermarkKey], issued: np.ndarray | None, searches: int) -> None:
        self.keys = keys
        self._issued = issued
        self._readings = searches * 2 * READ
        self._patterns = [Pattern(key) for key in keys]
        self._correlator = Correlator(layout().pilots, np.stack([pattern.pilots for pattern in self._patterns]))

    def search(self, views: Sequence[torch.Tensor], deadline: float) -> MarkFinding:
        """The mark in one of the views (averaged evened-out frames), or the best that chance has to offer.

        Plain copies are looked for in every view before anything bent is, since they take a thirtieth of the time.
        """
        best, until = MarkFinding(found=False), math.inf  # the first view is looked at whatever the time
        with torch.inference_mode():
            spectra = [Spectrum(view) for view in views]
            for lattices, spectrum in itertools.product((geometry.upright, geometry.bent), spectra):
                for lock in self.locks(spectrum, lattices(spectrum.height, spectrum.width), until):
                    finding = self.read(spectrum, lock)
                    if finding.found:
                        return finding
                    best = max(best, finding, key=lambda one: one.z)
                if time.monotonic() > deadline:
                    return replace(best, whole=False)
                until = deadline
        return best

    def survey(self, spectrum: Spectrum, lattices: np.ndarray, deadline: float = math.inf) -> torch.Tensor:
        """The pilots' statistic for every key and lattice: float32 (keys, L), minus infinity where time ran out."""
        return self._correlator.survey(spectrum, lattices, deadline)

    def locks(self, spectrum: Spectrum, lattices: np.ndarray, deadline: float = math.inf) -> list[Lock]:
        """The few places of these lattices, and near them, that speak most clearly for a key; the best first."""
        scores = self.survey(spectrum, lattices, deadline)
        order = scores.ravel().argsort(descending=True)[: 4 * REFINED].tolist()
        locks: list[Lock] = []
        refined = 0
        for key, index in (divmod(entry, len(lattices)) for entry in order):
            if refined == REFINED:
                break
            if any(lock.key == key and _alike(lock.lattice, lattices[index], spectrum) for lock in locks):
                continue
            locks.append(self.refine(spectrum, lattices[index], key))
            refined += 1
        return sorted(locks, key=lambda lock: -lock.z)[:READ]

    def refine(self, spectrum: Spectrum, lattice: np.ndarray, key: int) -> Lock:
        """Bend a lattice until the pilots speak as clearly as they can."""
        correlator = self._correlator.only(key)
        step = geometry.WIDE_STEP * geometry.pitch_of(lattice) / max(spectrum.height, spectrum.width)
        for part in CLIMB:
            for _ in range(MOST_STEPS):
                around = geometry.neighbours(lattice, part * step)
                best = int(correlator.survey(spectrum, around)[0].argmax())
                lattice = around[best]
                if best == 0:
                    break
        z, place = correlator.place(spectrum, lattice)
        return Lock(z=z, key=key, lattice=lattice, place=place)

    def read(self, spectrum: Spectrum, lock: Lock) -> MarkFinding:
        """What a place says, and whether that is a claim."""
        places = layout()
        pattern = self._patterns[lock.key]
        seen = spectrum.at(torch.from_numpy(lock.lattice[None]), torch.from_numpy(places.everything.astype(np.float32)))
        turned = seen[0].numpy() * np.exp(2j * np.pi * places.everything @ lock.place)
        split = len(places.pilots)
        weights = strengths((turned[:split] * pattern.pilots.conj()).real)
        weighted = turned[split:] * weights
        soft = pattern.soft(weighted)
        spread = float(np.sqrt((np.abs(weighted) ** 2).sum()))
        best = MarkFinding(found=False, z=lock.z)
        for exact in (True, False):
            value, ids = (code.decode(soft), 2.0**code.ID_BITS) if exact else self._nearest(soft)
            if value is None:
                continue
            id_z = float(code.agreement(soft, np.array([value], np.uint64))[0]) / max(spread, 1e-9)
            rate = false_positive_rate(id_z, readings=self._readings, ids=ids)
            if rate < RATE:
                return self._claim(lock, value, exact=exact, id_z=id_z, rate=rate)
            if not exact:  # what a decoder makes of noise is always far above chance
                best = MarkFinding(found=False, z=lock.z, id_z=id_z)
        return best

    def _claim(self, lock: Lock, value: int, *, exact: bool, id_z: float, rate: float) -> MarkFinding:
        """The finding that a place makes."""
        scale, angle, flipped = geometry.describe(lock.lattice)
        return MarkFinding(
            found=True,
            id=value,
            exact=exact,
            z=lock.z,
            id_z=id_z,
            false_positive_rate=rate,
            key=self.keys[lock.key].name,
            flipped=flipped,
            scale=scale,
            angle=angle,
        )

    def _nearest(self, soft: np.ndarray) -> tuple[int | None, float]:
        """The issued id that agrees best, and how many there were."""
        if self._issued is None or len(self._issued) == 0:
            return None, 1.0
        return int(self._issued[int(code.agreement(soft, self._issued).argmax())]), float(len(self._issued))


def strengths(spoken: np.ndarray) -> np.ndarray:
    """How far to trust each data frequency, by what the pilots of its ring say: positive, (data,).

    `spoken` are the pilots' real parts after their phases are taken off; their mean in a ring is the mark's strength.
    """
    places = layout()
    near, far = np.hypot(*places.pilots.T), np.hypot(*places.data.T)
    edges = np.quantile(near, np.linspace(0, 1, BANDS + 1))
    centres = (edges[:-1] + edges[1:]) / 2
    band = np.clip(np.searchsorted(edges, near, side="right") - 1, 0, BANDS - 1)
    means = np.bincount(band, spoken, BANDS) / np.maximum(np.bincount(band, minlength=BANDS), 1)
    top = max(float(means.max()), 1e-6)
    return np.interp(far, centres, np.maximum(means, 0.15 * top))


def _alike(first: np.ndarray, second: np.ndarray, spectrum: Spectrum) -> bool:
    """Whether two lattices are the same but for a step or two."""
    step = 2 * geometry.STEP * geometry.pitch_of(first) / max(spectrum.height, spectrum.width)
    return bool(np.abs(second @ np.linalg.inv(first) - np.eye(2)).max() < step)
