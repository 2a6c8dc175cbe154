"""Frames to hashes: what survives, what is trimmed, what is left out. About 4 seconds."""

import io

import numpy as np
import pytest
from PIL import Image

from hibari.provenance.fingerprint.frames import MAX_DISTANCE, FrameHash, content_box, hashes_of, leave_out_sources
from hibari.shapes import VideoShape
from hibari.worlds import World

FPS = 12
CLIP = World().scene(3, VideoShape(25, 96, 160), FPS).render()


def apart(one: bytes, other: bytes) -> int:
    return int(np.bitwise_count(np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).sum())


def letterboxed(frames: np.ndarray, colour: int = 0) -> np.ndarray:
    return np.pad(frames, ((0, 0), (32, 32), (0, 0), (0, 0)), constant_values=colour)


def jpeg(frame: np.ndarray) -> np.ndarray:
    held = io.BytesIO()
    Image.fromarray(frame).save(held, "JPEG", quality=60)
    return np.asarray(Image.open(held))


@pytest.mark.parametrize(
    ("fps", "count", "expected"),
    [(12, 25, [0, 0.5, 1, 1.5, 2]), (12, 1, [0]), (1, 3, [0, 1, 2]), (5, 6, [0, 0.4, 1]), (24, 0, [])],
)
def test_a_hash_each_half_second(fps: int, count: int, expected: list[float]) -> None:
    assert [each.seconds for each in hashes_of(CLIP[:count], fps)] == expected


def test_a_copy_is_near_and_another_moment_is_not() -> None:
    first = hashes_of(CLIP, FPS)
    copies = hashes_of((jpeg(np.asarray(Image.fromarray(frame).resize((240, 144)))) for frame in CLIP), FPS)
    assert len(first) == len(copies) == 5
    assert max(apart(a.bits, b.bits) for a, b in zip(first, copies, strict=True)) <= MAX_DISTANCE
    assert apart(first[0].bits, hashes_of(World().scene(4, VideoShape(1, 96, 160)).render(), 1)[0].bits) > 90


def test_the_mirror_image() -> None:
    for straight, turned in zip(hashes_of(CLIP, FPS), hashes_of(CLIP[:, :, ::-1], FPS), strict=True):
        assert apart(straight.mirrored, turned.bits) <= 8 and apart(straight.bits, turned.mirrored) <= 8
        assert apart(straight.bits, turned.bits) > MAX_DISTANCE


@pytest.mark.parametrize("colour", [0, 255])
def test_bars_are_trimmed(colour: int) -> None:
    boxed = hashes_of(np.stack([jpeg(frame) for frame in letterboxed(CLIP, colour)]), FPS)
    assert [each.seconds for each in boxed] == [0, 0, 0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2], "whole, and between the bars"
    for own, whole, trimmed in zip(hashes_of(CLIP, FPS), boxed[::2], boxed[1::2], strict=True):
        assert apart(own.bits, trimmed.bits) <= MAX_DISTANCE < apart(own.bits, whole.bits)


def test_boxes() -> None:
    noise = np.random.default_rng(0).integers(40, 255, (3, 60, 80), dtype=np.uint8)
    assert content_box(noise) is None
    framed = noise.copy()
    framed[:, :10], framed[:, 55:], framed[:, :, :20], framed[:, :, 76:] = 16, 16, 18, 14
    assert content_box(framed) == (10, 55, 20, 76)
    framed[1, 0] = 90
    assert content_box(framed) == (0, 55, 20, 76), "a bar is one in every frame"
    assert content_box(np.full((2, 60, 80), 9, np.uint8)) is None, "nothing but bar is no bar"
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None] * 4, (1, 60, 80))
    assert content_box(ramp) is None, "a clear sky is no bar"


def test_a_flat_frame_is_of_low_quality() -> None:
    (flat,) = hashes_of(np.full((1, 96, 160, 3), 128, np.uint8), 1)
    assert flat.quality < 50 and flat.left_out == "quality"
    assert not any(each.left_out for each in hashes_of(CLIP, FPS))


def test_frames_of_a_source_are_left_out() -> None:
    hashes = hashes_of(CLIP, FPS)
    sources = hashes_of(jpeg(CLIP[0])[None], 1)
    assert leave_out_sources(hashes, sources)[0].left_out == "source"
    assert [each.left_out for each in leave_out_sources(hashes, sources[:0])] == [""] * 5
    mirrored = hashes_of(CLIP[:1, :, ::-1], 1)
    assert leave_out_sources(hashes[:1], mirrored)[0].left_out == "source"
    other = hashes_of(World().scene(4, VideoShape(1, 96, 160)).render(), 1)
    assert not any(each.left_out for each in leave_out_sources(hashes, other))


def test_no_copy_of_a_source_can_match_what_is_left() -> None:
    rng = np.random.default_rng(1)
    source = rng.integers(0, 256, 32, dtype=np.uint8)

    def flipped(bits: np.ndarray, count: int) -> bytes:
        spread = np.zeros(256, np.uint8)
        spread[rng.choice(256, count, replace=False)] = 1
        return (bits ^ np.packbits(spread)).tobytes()

    def whole(bits: bytes) -> FrameHash:
        return FrameHash(seconds=0, bits=bits, mirrored=bytes(32), quality=99)

    for count, expected in ((62, "source"), (63, "")):
        (marked,) = leave_out_sources([whole(flipped(source, count))], [whole(source.tobytes())])
        assert marked.left_out == expected, "a copy within 31 of a source is farther than 31 from what is 63 away"
