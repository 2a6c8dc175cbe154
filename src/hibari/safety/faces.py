"""Faces on uploads: where they are, never whose they are. YuNet (Wu et al. 2023), shipped, 232 KB, MIT.

The net's outputs at strides 8, 16 and 32 are, for each cell, a class and an object score, a box as an offset of its
centre in cells and the logarithm of its size, and five landmarks that are not used here.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from hibari.safety.folding import SHIPPED
from hibari.safety.onnx import OnnxModel

SIDE = 640  # of the square that the net reads
STRIDES = (8, 16, 32)
SURE = 0.7
OVERLAP = 0.3
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"


@dataclass(frozen=True, kw_only=True)
class Face:
    """A box in pixels of the picture, and how sure the net is."""

    left: float
    top: float
    width: float
    height: float
    score: float


class FaceFinder:
    """Finds faces in pictures; raises Refused where the model file is missing or altered."""

    def __init__(self, sure: float = SURE) -> None:
        self.sure = sure
        self._model = OnnxModel(SHIPPED / "face_detection_yunet_2023mar.onnx", SHA256)

    def find(self, frame: np.ndarray) -> list[Face]:
        """The faces of a picture `(H, W, 3)` uint8, the surest first."""
        height, width = frame.shape[:2]
        scale = SIDE / max(height, width)
        small = Image.fromarray(frame).resize((max(1, round(width * scale)), max(1, round(height * scale))))
        square = np.zeros((SIDE, SIDE, 3), dtype=np.float32)
        square[: small.height, : small.width] = np.asarray(small)
        boxes, scores = self._read(self._model.run(square[:, :, ::-1].transpose(2, 0, 1)[None].copy()))
        return [
            Face(
                left=float(left / scale),
                top=float(top / scale),
                width=float(wide / scale),
                height=float(high / scale),
                score=float(score),
            )
            for (left, top, wide, high), score in _apart(boxes, scores)
        ]

    def _read(self, outputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes `(N, 4)` as left, top, width, height in the square, and scores, of the cells that are sure enough."""
        boxes, scores = [], []
        for stride in STRIDES:
            product = outputs[f"cls_{stride}"][0, :, 0].clip(0, 1) * outputs[f"obj_{stride}"][0, :, 0].clip(0, 1)
            score = np.sqrt(product)
            cells = np.flatnonzero(score >= self.sure)
            rows, columns = np.divmod(cells, SIDE // stride)
            offset = outputs[f"bbox_{stride}"][0, cells]
            centre = (np.stack([columns, rows], 1) + offset[:, :2]) * stride
            size = np.exp(offset[:, 2:]) * stride
            boxes.append(np.concatenate([centre - size / 2, size], 1))
            scores.append(score[cells])
        return np.concatenate(boxes), np.concatenate(scores)


def _apart(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Of boxes that overlap only the surest."""
    kept: list[tuple[np.ndarray, float]] = []
    for index in np.argsort(-scores):
        if all(_overlap(boxes[index], other) < OVERLAP for other, _ in kept):
            kept.append((boxes[index], float(scores[index])))
    return kept


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The shared part of two boxes' union."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / (float(np.prod(one[2:]) + np.prod(other[2:])) - shared)
