"""Our PDQ beside pdqhash, which wraps the reference: the same bits, the same quality. About 3 seconds."""

from collections.abc import Iterator

import numpy as np
import pdqhash
import pytest
from PIL import Image

from hibari.provenance.fingerprint.pdq import LEAST_PIXELS, SIDE, PdqHash, pdq
from hibari.shapes import VideoShape
from hibari.worlds import World

MIRRORED = 5  # in pdqhash's list of eight
SIZES = [(320, 320), (160, 96), (SIDE, SIDE), (300, 201), (854, 480), (1000, 129), (40, 30), (LEAST_PIXELS, 7)]
EXACT = [(320, 320), (SIDE, SIDE), (320, 200)]  # where filter and sampling are the same from the left and the right


def reference(luma_HW: np.ndarray) -> PdqHash:
    grey = np.ascontiguousarray(np.broadcast_to(luma_HW[..., None], (*luma_HW.shape, 3)))
    hashes, quality = pdqhash.compute_dihedral(grey)
    upright, mirrored = (np.packbits(hashes[which]).tobytes() for which in (0, MIRRORED))
    return PdqHash(bits=upright, mirrored=mirrored, quality=quality)


def apart(one: bytes, other: bytes) -> int:
    return int(np.bitwise_count(np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).sum())


def scenes(size: tuple[int, int], count: int = 6) -> Iterator[np.ndarray]:
    for seed in range(count):
        frame = World().scene(seed, VideoShape(1, 96, 160)).render()[0]
        yield np.asarray(Image.fromarray(frame).convert("L").resize(size, Image.Resampling.BILINEAR))


def check(luma_HW: np.ndarray) -> None:
    ours, theirs = pdq(luma_HW), reference(luma_HW)
    # The reference counts in single precision: a frequency that lies on the median may fall on either side.
    assert apart(ours.bits, theirs.bits) <= 2 and apart(ours.mirrored, theirs.mirrored) <= 2
    assert abs(ours.quality - theirs.quality) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_any_size_hash_as_the_reference_hashes_them(size: tuple[int, int]) -> None:
    for luma in scenes(size):
        check(luma)


def test_noise_and_faint_shapes_hash_as_the_reference_hashes_them() -> None:
    rng = np.random.default_rng(0)
    for contrast in (255, 60, 20):
        coarse = rng.integers(0, contrast, (12, 12)).astype(np.uint8)
        check(np.asarray(Image.fromarray(coarse).resize((320, 320), Image.Resampling.BICUBIC)))
        check(rng.integers(0, contrast, (320, 320)).astype(np.uint8))


@pytest.mark.parametrize("size", EXACT)
def test_the_mirrored_hash_is_that_of_the_mirrored_picture(size: tuple[int, int]) -> None:
    for luma in scenes(size):
        assert pdq(luma).mirrored == pdq(luma[:, ::-1]).bits != pdq(luma).bits


def test_quality_runs_from_nothing_to_all() -> None:
    assert pdq(np.full((320, 320), 128, np.uint8)).quality == 0
    ramp = np.broadcast_to(np.linspace(0, 255, 320).astype(np.uint8), (320, 320))
    assert 0 < pdq(ramp).quality == reference(ramp).quality < 100
    assert pdq(np.random.default_rng(0).integers(0, 256, (320, 320))).quality == 100
