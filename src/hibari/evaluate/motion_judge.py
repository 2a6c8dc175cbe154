"""The judge of motion: from where a thing was in each frame, and how large, to a motion of the vocabulary.

A small perceptron over the track, brought to a fixed number of moments. It learns from the true tracks of
training scenes with the errors of a tracker laid on them, and from tracks in disorder, which are no motion.
A sprite's own animation is in the true tracks, so "still" includes it.

Legend: B batch, T frames, M motions and none, F numbers that describe a track.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hibari.shapes import VideoShape
from hibari.worlds import World

MOMENTS = 16
FEATURES = 3 * MOMENTS + 4
FRAMES = (17, 21, 25)  # of training scenes
MOVED = 0.15  # share of the shorter side; what moves less keeps its motion in any order


@dataclass(frozen=True)
class Track:
    """A thing on its way: `centre` (T, 2) x and y and `size` (T,) in pixels, `seen` (T,) whether it was found;
    `height` and `width` of the frame."""

    centre: np.ndarray
    size: np.ndarray
    seen: np.ndarray
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class MotionTraining:
    """Settings of the training."""

    scenes: int = 1500
    steps: int = 1500
    batch: int = 96
    lr: float = 2e-3
    seed: int = 0


class MotionJudge(nn.Module):
    """Numbers that describe a track to a motion."""

    def __init__(self, motions: Sequence[str], width: int = 96) -> None:
        super().__init__()
        self.motions = tuple(motions)
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, len(motions) + 1),
        )

    def forward(self, tracks_BF: Tensor) -> Tensor:
        logits: Tensor = self.layers(tracks_BF)
        return logits

    @torch.inference_mode()
    def read(self, track: Track) -> str | None:
        """The motion of a track; None where it is none of the vocabulary, or the thing is seen in too few frames."""
        if track.seen.sum() < max(3, len(track.seen) / 2):
            return None
        best = int(self(torch.from_numpy(describe(track))[None].float()).argmax())
        return self.motions[best] if best < len(self.motions) else None


def describe(track: Track) -> np.ndarray:
    """A track as numbers (F,) that depend neither on the frame's size nor on where in it the thing is."""
    side = min(track.height, track.width)
    frames = np.arange(len(track.seen))
    where = frames[track.seen]
    moments = np.linspace(0, len(frames) - 1, MOMENTS)
    x, y = (np.interp(moments, where, track.centre[track.seen, axis]) / side for axis in (0, 1))
    size = np.interp(moments, where, np.log(np.maximum(track.size[track.seen], 1.0)))
    bounds = [np.ptp(x), np.ptp(y), np.ptp(size), track.seen.mean()]
    return np.concatenate([3 * (x - x.mean()), 3 * (y - y.mean()), 2 * (size - size.mean()), bounds])


def true_tracks(world: World, sizes: Sequence[tuple[int, int]], count: int, seed: int) -> list[tuple[Track, int]]:
    """The tracks of training scenes, of (width, height) from `sizes`, and the number of the motion of each."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        width, height = sizes[int(rng.integers(len(sizes)))]
        shape = VideoShape(int(rng.choice(FRAMES)), height, width)
        scene = world.scene(seed * 10**6 + index, shape)
        truth = scene.truth()
        kept = int(np.ceil(shape.frames * rng.uniform(0.82, 1)))
        for which, motion in enumerate(scene.labels.motions):
            seen = (truth.visibility[:kept, which] > 0.25) & (truth.size[:kept, which].max(1) > 0)
            if seen.sum() >= max(3, kept / 2):
                size = truth.size[:kept, which].max(1)
                track = Track(truth.centre[:kept, which], size, seen, height, width)
                found.append((track, world.vocabulary.motions.index(motion)))
    return found


def train_motion_judge(judge: MotionJudge, tracks: Sequence[tuple[Track, int]], training: MotionTraining) -> None:
    """Train in place on true tracks, each seen through another bad tracker every time."""
    rng = np.random.default_rng(training.seed)
    none = len(judge.motions)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=training.lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.lr, total_steps=training.steps, pct_start=0.1)
    judge.train()
    for _ in range(training.steps):
        rows, motions = [], []
        for index in rng.integers(len(tracks), size=training.batch):
            track, motion = _see_badly(tracks[index][0], rng), tracks[index][1]
            if rng.random() < 0.12 and _way(track) > MOVED:
                track, motion = _disorder(track, rng), none
            rows.append(describe(track))
            motions.append(motion)
        loss = F.cross_entropy(
            judge(torch.from_numpy(np.stack(rows)).float()), torch.tensor(motions), label_smoothing=0.02
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    judge.eval()


def _way(track: Track) -> float:
    """How far a track spreads, as a share of the shorter side."""
    return float(np.ptp(track.centre[track.seen], axis=0).max()) / min(track.height, track.width)


def _see_badly(track: Track, rng: np.random.Generator) -> Track:
    """The track with jitter, frames missing, and now and then one wild reading."""
    side, count = min(track.height, track.width), len(track.seen)
    centre = track.centre + rng.normal(0, side * rng.uniform(0, 0.02), (count, 2))
    size = track.size * np.exp(rng.normal(0, rng.uniform(0, 0.08), count))
    seen = track.seen & (rng.random(count) > rng.uniform(0, 0.15))
    if rng.random() < 0.2:
        centre[rng.integers(count)] = rng.uniform(0, 1, 2) * (track.width, track.height)
    return Track(centre, size, seen if seen.sum() >= 3 else track.seen, track.height, track.width)


def _disorder(track: Track, rng: np.random.Generator) -> Track:
    """The same places in another order, or places anywhere."""
    count = len(track.seen)
    if rng.random() < 0.5:
        order = rng.permutation(count)
        return Track(track.centre[order], track.size[order], track.seen[order], track.height, track.width)
    centre = rng.uniform(0, 1, (count, 2)) * (track.width, track.height)
    return Track(centre, track.size, track.seen, track.height, track.width)
