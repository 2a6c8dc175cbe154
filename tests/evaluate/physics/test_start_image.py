"""The start image against the VAE's own reconstruction, on the tiny random model. About 12 seconds."""

from pathlib import Path

import numpy as np
import pytest

from hibari.config import Settings
from hibari.evaluate.judges import Judges
from hibari.evaluate.makers import load_generator, start_maker
from hibari.evaluate.physics.start_image import keep, lost_db, own_scores, scenes, summarise
from hibari.evaluate.reconstruction import psnr
from hibari.generate.generator import Generator
from hibari.worlds import World


@pytest.fixture(scope="module")
def generator(home: Path) -> Generator:
    return load_generator(Settings(home=home, model="tiny", dtype="float32"))


def test_the_loss_is_a_difference_of_decibels() -> None:
    start = np.full((8, 8, 3), 100, np.uint8)
    assert lost_db(start, start + 2, start + 2) == 0
    assert lost_db(start, start + 4, start + 2) == pytest.approx(20 * np.log10(2))


def test_start_images_are_first_frames_at_the_models_size(generator: Generator) -> None:
    asked = scenes(generator, World(), 3)
    assert [scene.seed for scene in asked] == [0, 1, 2] and asked[0].render()[0].shape == (64, 96, 3)


def test_a_latent_that_is_kept_loses_nothing_and_one_that_is_not_does(generator: Generator) -> None:
    asked, judges = scenes(generator, World(), 2), Judges.load()
    kept = list(keep(generator, judges, asked, start_maker(generator, steps=1)))
    result = summarise(kept)
    assert result["mean"] == pytest.approx(0, abs=0.01) and result["of"] == 2
    assert result["rebuilt_db"]["mean"] == pytest.approx(
        psnr(kept[0].start, kept[0].rebuilt) / 2 + psnr(kept[1].start, kept[1].rebuilt) / 2, abs=1e-3
    )

    def without(_: object, start: np.ndarray) -> np.ndarray:
        return np.zeros((18, *start.shape), np.uint8)

    assert summarise(list(keep(generator, judges, asked, without)))["mean"] > 0.5


def test_real_clips_lose_nothing(generator: Generator) -> None:
    scores = own_scores(generator, scenes(generator, World(), 2))
    assert scores["real clips"]["mean"] == pytest.approx(0, abs=0.01)
    assert list(scores) == ["real clips", "blurred, sigma 1", "others' start images"]
