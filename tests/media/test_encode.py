"""Files that are written are read back: frames, colours, tags, order of boxes. About 5 seconds."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

import marked_house
from hibari.errors import BadMedia
from hibari.media.decode import probe, read_image, read_video
from hibari.media.encode import write_still, write_video
from hibari.media.fit import cover_box, fit
from hibari.media.suffixes import format_of


def moving_square(frames: int = 10, height: int = 96, width: int = 128) -> list[np.ndarray]:
    clip = np.full((frames, height, width, 3), 40, np.uint8)
    for index in range(frames):
        clip[index, 20:60, 8 * index : 8 * index + 40] = (200, 80, 30)
    return list(clip)


def test_a_video_comes_back_as_it_went(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.mp4", moving_square()
    assert write_video(path, iter(frames), 12) == 10
    info, back = read_video(path, 100)
    assert (info.kind, info.codec, info.width, info.height, info.fps, info.frames) == ("video", "h264", 128, 96, 12, 10)
    assert len(back) == 10
    for made, read in zip(frames, back, strict=True):
        assert np.abs(made.astype(int) - read).mean() < 2


def test_the_same_frames_are_the_same_file(tmp_path: Path) -> None:
    """Whatever the process's memory held before. 2 seconds; fails within a few files where x264 is left to itself."""
    generator = np.random.default_rng(0)
    frames = list(marked_house.scene(8, 12))
    files = set()
    for _ in range(24):
        held = [generator.integers(0, 256, size, np.uint8) for size in generator.integers(10**3, 3 * 10**6, 6)]
        del held[::2]
        write_video(tmp_path / "a.mp4", frames, 8)
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


def test_one_frame_is_a_video_too(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(1), 12)
    assert probe(tmp_path / "a.mp4").frames == 1


def test_browsers_find_what_they_need(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, moving_square(), 12)
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat"), "the index stands first"
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        assert (context.pix_fmt, context.profile) == ("yuv420p", "High")
        assert (context.color_range, context.colorspace) == (ColorRange.MPEG, Colorspace.ITU709)
        assert (context.color_primaries, context.color_trc) == (ColorPrimaries.BT709, ColorTrc.BT709)
        assert video.duration is not None and video.time_base is not None
        assert float(video.duration * video.time_base) == pytest.approx(10 / 12, abs=1e-3)


def test_the_numbers_are_those_that_the_tags_promise(tmp_path: Path) -> None:
    write_video(tmp_path / "red.mp4", [np.full((64, 64, 3), (255, 0, 0), np.uint8)], 12)
    with av.open(str(tmp_path / "red.mp4")) as container:
        frame = next(container.decode(video=0))
        assert abs(int(frame.to_ndarray()[10, 10]) - 63) <= 1, "BT.709 says 63 where BT.601 says 81"


@pytest.mark.parametrize(("suffix", "error"), [(".png", 0), (".webp", 0), (".jpg", 2), (".JPEG", 2)])
def test_stills(tmp_path: Path, suffix: str, error: float) -> None:
    path, frame = tmp_path / f"a{suffix}", moving_square(1)[0]
    write_still(path, frame, format_of(path).encoder)
    assert np.abs(read_image(path).astype(int) - frame).mean() <= error


@pytest.mark.parametrize("name", ["a.gif", "a", "a.mp4.part", "a.mov", ".mp4"])
def test_suffixes_that_cannot_be_written(name: str) -> None:
    with pytest.raises(BadMedia) as caught:
        format_of(Path(name))
    assert caught.value.option == "output"
    assert ".mp4" in caught.value.hint


def test_fitting_covers_and_never_distorts() -> None:
    assert cover_box((200, 100), (100, 100)) == (50, 0, 150, 100)
    assert cover_box((100, 200), (100, 50)) == (0, 75, 100, 125)
    circle = np.hypot(*np.mgrid[-50:50, -100:100]) < 40
    frame = np.repeat(np.where(circle, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    fitted = fit(frame, 300, 200)
    rows, columns = np.nonzero(fitted[..., 0] > 127)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1, "a circle stays one"
    assert fit(frame, 200, 100) is frame
