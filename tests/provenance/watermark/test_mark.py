"""A mark goes in unseen and is found again; where there is none, none is found. About 15 seconds.

The clip is of the kind that the built-in model delivers: a small rendered scene, enlarged three times. The full table
of attacks is `benchmarks/watermark.py`.
"""

import numpy as np
import pytest
import torch
from attacks import ATTACKS, Copy
from PIL import Image

from hibari.media.fit import fit
from hibari.provenance.watermark import search
from hibari.provenance.watermark.claims import RATE
from hibari.provenance.watermark.keys import WatermarkKey
from hibari.provenance.watermark.marker import Marker
from hibari.provenance.watermark.search import find_mark
from hibari.provenance.watermark.tile import Pattern, layout
from hibari.shapes import VideoShape
from hibari.worlds import World

KEY = WatermarkKey(name="2026-11", secret=bytes(range(32)))
OTHER = WatermarkKey(name="2026-10", secret=bytes(range(1, 33)))
ID = 0x123456789ABC
LONG = 600.0  # seconds that a search may take on a busy machine


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    scene = World().scene(3, VideoShape(6, 112, 192))
    return np.stack([fit(frame, 576, 336) for frame in scene.render()])


@pytest.fixture(scope="module")
def marked(clip: np.ndarray) -> np.ndarray:
    return Marker(KEY, ID, 336, 576).mark(clip)


def psnr(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Decibels of each frame."""
    error = np.square(first.astype(np.float64) - second).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / error)


def test_the_mark_is_faint(clip: np.ndarray, marked: np.ndarray) -> None:
    assert psnr(clip, marked).min() >= 41.0
    assert np.abs(clip.astype(int) - marked).max() <= 16


def test_frames_are_marked_alone(clip: np.ndarray, marked: np.ndarray) -> None:
    alone = Marker(KEY, ID, 336, 576).mark(clip[4:5])
    assert np.abs(alone[0].astype(int) - marked[4]).max() <= 1


@pytest.mark.parametrize("name", ["none", "crf28", "crop_small_crf28", "flip", "rotate2", "squeeze4", "screenshot"])
def test_it_lives_through(marked: np.ndarray, name: str) -> None:
    copy = ATTACKS[name](Copy(frames=marked, fps=8))
    finding = find_mark(copy.frames, copy.fps, [OTHER, KEY], seconds_limit=LONG)
    assert finding.id == ID and finding.exact and finding.key == "2026-11"
    assert finding.flipped == (name == "flip")
    assert finding.angle == pytest.approx(2.0 if name == "rotate2" else 0.0, abs=0.5)
    assert finding.scale == pytest.approx({"crop_small_crf28": 0.75, "squeeze4": 0.98}.get(name, 1.0), abs=0.02)
    assert finding.false_positive_rate < RATE


def test_one_still_is_enough(marked: np.ndarray) -> None:
    grey = np.asarray(Image.fromarray(marked[0]).convert("L").convert("RGB"))
    assert find_mark(grey[None], 1.0, [KEY], seconds_limit=LONG).id == ID


def test_the_second_mark_of_a_key_is_read_and_a_foreign_one_beside_it(marked: np.ndarray) -> None:
    again = Marker(OTHER, 77, 336, 576).mark(marked)
    assert find_mark(again, 8, [OTHER], seconds_limit=LONG).id == 77
    assert find_mark(again, 8, [KEY], seconds_limit=LONG).id == ID


def test_no_mark_no_claim(clip: np.ndarray, marked: np.ndarray) -> None:
    issued = np.sort(np.random.default_rng(0).integers(0, 2**48, 5000, dtype=np.uint64))
    for frames, key in ((clip, KEY), (marked, OTHER)):
        finding = find_mark(frames, 8, [key], issued, seconds_limit=LONG)
        assert not finding.found and finding.id is None and finding.z < 7
    assert not find_mark(np.full((2, 64, 96, 3), 128, np.uint8), 8, [KEY], issued, seconds_limit=LONG).found
    assert not find_mark(np.zeros((0, 64, 96, 3), np.uint8), 8, [KEY]).found
    assert not find_mark(clip, 8, []).found


def test_a_mark_too_weak_to_spell_is_matched_with_the_issued_ids(marked: np.ndarray) -> None:
    issued = np.sort(np.append(np.random.default_rng(0).integers(0, 2**48, 5000, dtype=np.uint64), np.uint64(ID)))
    rng = np.random.default_rng(1)
    corner = marked[:1, :150, :250].astype(np.float32)
    for strength in 24.0 * 1.06 ** np.arange(20):
        noisy = (corner + rng.normal(scale=strength, size=corner.shape)).clip(0, 255).astype(np.uint8)
        finding = find_mark(noisy, 1, [KEY], issued, seconds_limit=LONG)
        assert finding.id == ID, "the id is matched before the mark is lost"
        if not finding.exact:
            break
    assert not finding.exact and finding.id_z > 6.5 and finding.false_positive_rate < RATE


def test_a_large_frame_is_read_at_a_third_of_its_size(clip: np.ndarray) -> None:
    large = np.stack([fit(clip[0], 1280, 720)])
    marked = Marker(KEY, ID, 720, 1280).mark(large)
    assert psnr(large, marked).min() >= 41.0
    for across in (1280, 640):
        assert find_mark(np.stack([fit(marked[0], across, across * 9 // 16)]), 1, [KEY], seconds_limit=LONG).id == ID


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (144, 256), (480, 270)])
def test_any_size_is_marked(size: tuple[int, int]) -> None:
    grey = np.full((1, *size, 3), 120, np.uint8)
    assert (Marker(KEY, ID, *size).mark(grey) != grey).mean() > 0.5


def test_black_stays_nearly_black() -> None:
    black = np.zeros((1, 128, 128, 3), np.uint8)
    assert Marker(KEY, ID, 128, 128).mark(black).max() <= 16


def test_a_clip_is_looked_at_a_few_times_a_second() -> None:
    frames = (np.full((48, 64, 3), index % 250, np.uint8) for index in range(300))
    counts = [count for _, count in search.watch(frames, 30.0, float("inf"))]
    assert counts == [24, 24, 12]


def test_patterns_of_keys_have_nothing_in_common() -> None:
    first, second = Pattern(KEY), Pattern(OTHER)
    assert abs(np.vdot(first.pilots, second.pilots)) / len(first.pilots) < 0.25
    assert abs(np.vdot(first.data(5), second.data(5))) / len(layout().data) < 0.25
    counts = np.bincount(first.places, minlength=256)
    assert counts.min() >= 4 and counts.max() <= counts.min() + 1


def test_marking_leaves_the_random_numbers_alone(clip: np.ndarray) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Marker(KEY, ID, 336, 576).mark(clip[:1])
    assert torch.equal(before, torch.get_rng_state())
