"""Places: drawn alike for one seed, differently for another, and told apart by their colours. About 3 seconds."""

import numpy as np
import pytest

from hibari.worlds.backgrounds import PLACES, draw


def picture(name: str, seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    return draw(name, np.random.default_rng(seed), height, width)


@pytest.mark.parametrize("name", PLACES)
def test_a_place_is_seeded_and_varies(name: str) -> None:
    first = picture(name, 0)
    assert first.shape == (48, 64, 3) and first.dtype == np.uint8
    assert (first == picture(name, 0)).all()
    assert (first != picture(name, 1)).any()
    assert picture(name, 0, 96, 32).shape == (96, 32, 3)
    if not name.startswith("plain"):
        assert first.std() > 8


def test_places_can_be_told_apart() -> None:
    """A picture is nearest, as 4x4 blocks of mean colour, to another picture of its own place."""
    names = [name for name in PLACES if not name.startswith("plain") and " at " not in name]

    def blocks(name: str, seed: int) -> np.ndarray:
        return picture(name, seed).reshape(4, 12, 4, 16, 3).mean((1, 3))

    known = {name: np.mean([blocks(name, seed) for seed in range(4)], 0) for name in names}
    for name in names:
        distance = {other: float(((blocks(name, 9) - known[other]) ** 2).mean()) for other in names}
        assert min(distance, key=lambda other: distance[other]) == name
