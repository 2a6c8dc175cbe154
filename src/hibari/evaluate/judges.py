"""The judges of one vocabulary together: a clip comes in, and what it shows comes out. Weights in one small file.

They belong to a world and not to a model, so they come with Hibari itself, in `shipped/`, with the card of their own
scores beside them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from hibari.errors import BadWeights, HibariError
from hibari.evaluate.frame_judge import NAMED, SEEN, FrameJudge, FrameJudgeConfig, Readings
from hibari.evaluate.motion_judge import MotionJudge, Track

SHIPPED = Path(__file__).parent / "shipped"
WEIGHTS, CARD = "judges.safetensors", "judges.json"
FORMAT = 1
LEAP = 0.5  # of the shorter side within two frames, which nothing in the worlds does


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a clip shows; None is none of the vocabulary.

    `object` is the one that is surest in more than half of the frames, `share` the share of frames in which it is.
    """

    object: str | None
    motion: str | None
    background: str | None
    share: float


class Judges:
    """The frame judge and the motion judge of one vocabulary."""

    def __init__(self, frames: FrameJudge, motion: MotionJudge) -> None:
        self.frames = frames.eval()
        self.motion = motion.eval()

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The objects, motions and backgrounds that they tell apart."""
        config = self.frames.config
        return {"objects": config.objects, "motions": self.motion.motions, "backgrounds": config.backgrounds}

    def require(self, **wanted: tuple[str, ...]) -> None:
        """Raise HibariError where a word of `objects`, `motions` or `backgrounds` is not theirs."""
        for kind, names in wanted.items():
            unknown = [name for name in names if name not in self.words[kind]]
            if unknown:
                raise HibariError(
                    f"The judges do not know {', '.join(unknown[:5])} among {kind}.",
                    hint="Train them for this world: hibari evaluate judges --train",
                )

    def judge(self, frames: np.ndarray) -> Verdict:
        """What a clip `(T, H, W, 3)` uint8 shows."""
        readings = self.frames.read(frames)
        height, width = frames.shape[1:3]
        name, share = self._object(readings)
        places = readings.places.mean(0)
        best = int(places.argmax())
        known = self.frames.config.backgrounds
        return Verdict(
            object=name,
            motion=self.motion.read(track_of(readings, height, width)),
            background=known[best] if best < len(known) else None,
            share=share,
        )

    def _object(self, readings: Readings) -> tuple[str | None, float]:
        best = readings.objects.argmax(1)
        named = best[readings.objects.max(1) >= NAMED]
        counts = np.bincount(named, minlength=len(self.frames.config.objects))
        share = float(counts.max()) / len(best)
        return (self.frames.config.objects[int(counts.argmax())] if share > 0.5 else None), share

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the weights in half precision and the card, which gets the vocabulary and the sizes of the network."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = self._both().state_dict()
        halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
        (folder / WEIGHTS).write_bytes(save({key: tensor.contiguous() for key, tensor in halves.items()}))
        document = {"format": FORMAT, "widths": self.frames.config.widths, **self.words, **card}
        (folder / CARD).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path = SHIPPED) -> Self:
        """The judges in a folder, in float32 on the CPU; raises BadWeights."""
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            if card["format"] != FORMAT:
                raise ValueError(f"format {card['format']}, not {FORMAT}")
            objects, motions, backgrounds = (tuple(card[kind]) for kind in ("objects", "motions", "backgrounds"))
            fine, middle, coarse = card["widths"]
            config = FrameJudgeConfig(objects=objects, backgrounds=backgrounds, widths=(fine, middle, coarse))
            judges = cls(FrameJudge(config), MotionJudge(motions))
            tensors = load_file(folder / WEIGHTS)
            judges._both().load_state_dict(
                {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise BadWeights(f"{folder}: no judges ({error}).", hint="hibari evaluate judges --train") from error
        return judges

    def _both(self) -> nn.ModuleDict:
        return nn.ModuleDict({"frames": self.frames, "motion": self.motion})


def track_of(readings: Readings, height: int, width: int) -> Track:
    """The way of the surest thing; readings that leap away from their neighbours count as not seen."""
    found = readings.presence >= SEEN
    seen = found.copy()
    for index in np.flatnonzero(found):
        near = [
            other
            for other in range(index - 2, index + 3)
            if 0 <= other < len(found) and other != index and found[other]
        ]
        if near:
            leap = np.abs(readings.centre[index] - np.median(readings.centre[near], axis=0)).max()
            seen[index] = leap < LEAP * min(height, width)
    return Track(readings.centre, readings.size, seen, height, width)
