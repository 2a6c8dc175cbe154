"""A frame of a clip while it is made: small, screened, labelled and marked, or not there. About 12 seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hibari.config import Settings
from hibari.errors import Cancelled, OutputError
from hibari.produce import Hibari, Previews, Progress
from hibari.request import GenerationRequest
from houses import holding, own_home

WISH = GenerationRequest(prompt="an octopus drifts to the left", seed=4, seconds=0.5, steps=3, size="384x256")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def hibari(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    folder = own_home(home, tmp_path_factory.mktemp("previews") / "home")
    return Hibari(Settings(home=folder, model="tiny", device="cpu", dtype="float32"))


def test_each_estimate_may_be_seen_and_changes_nothing_in_the_clip(hibari: Hibari, tmp_path: Path) -> None:
    told: list[bool] = []
    seen: list[np.ndarray] = []
    path = tmp_path / "preview.webp"

    def tell(is_new: bool) -> None:
        told.append(is_new)
        with Image.open(path) as picture:
            seen.append(np.asarray(picture.convert("RGB")))

    watched = hibari.generate(WISH, output=tmp_path / "a.mp4", previews=Previews(path=path, tell=tell, every_s=0.0))
    assert told == [True] * 3
    assert all(frame.shape == (256, 384, 3) for frame in seen)
    assert not np.array_equal(seen[0], seen[2]), "it becomes clearer"
    plain = hibari.generate(WISH, output=tmp_path / "b.mp4")
    assert plain.making.latents_sha256 == watched.making.latents_sha256
    assert "preview" in watched.seconds and "preview" not in plain.seconds


def test_a_preview_carries_the_mark_of_its_clip(hibari: Hibari, tmp_path: Path) -> None:
    from hibari.provenance.places import KEYS
    from hibari.provenance.watermark.keys import KeyRing
    from hibari.provenance.watermark.search import find_mark

    path = tmp_path / "preview.webp"
    wish = replace(WISH, size="768x512")  # type: ignore[arg-type]
    record = hibari.generate(wish, output=tmp_path / "a.mp4", previews=Previews(path=path, tell=bool, every_s=0.0))
    with Image.open(path) as picture:
        frame = np.asarray(picture.convert("RGB"))
    assert max(frame.shape) == 512
    keys = KeyRing.open(hibari.settings.home / KEYS)
    assert find_mark(frame[None], 1, [keys.current()]).id == record.id.value


def test_they_do_not_come_too_often(hibari: Hibari, tmp_path: Path) -> None:
    told: list[bool] = []
    wanted = Previews(path=tmp_path / "preview.webp", tell=told.append, every_s=600.0)
    hibari.generate(WISH, output=tmp_path / "a.mp4", previews=wanted)
    assert not told and not (tmp_path / "preview.webp").exists()


def test_one_that_the_screen_does_not_let_pass_is_not_written(home: Path, tmp_path: Path) -> None:
    folder = own_home(home, tmp_path / "home")
    strict = Hibari(Settings(home=folder, model="tiny", device="cpu", dtype="float32", policy=holding(tmp_path)))
    told: list[bool] = []
    stages: list[str] = []

    def stop(progress: Progress) -> None:
        stages.append(progress.stage)
        if progress.stage == "frames":
            raise Cancelled("seen enough.")

    path = tmp_path / "preview.webp"
    with pytest.raises(Cancelled):
        strict.generate(
            WISH,
            output=tmp_path / "a.mp4",
            on_progress=stop,
            previews=Previews(path=path, tell=told.append, every_s=0.0),
        )
    assert told == [False] * 3 and not path.exists()


class NoNumber:
    """A frame model gone wrong."""

    name = "broken"

    def scores(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        return {"sexual_content": np.full(len(frames), np.nan)}


def test_a_screen_that_cannot_say_lets_none_pass(
    hibari: Hibari, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(hibari.door.frames, "models", (NoNumber(),))
    with pytest.raises(OutputError, match="gave no number"):  # of the video itself, too
        hibari.generate(
            WISH,
            output=tmp_path / "a.mp4",
            previews=Previews(path=tmp_path / "preview.webp", tell=told.append, every_s=0.0),
        )
    assert told == [False] * 3 and not list(tmp_path.glob("a.mp4"))
