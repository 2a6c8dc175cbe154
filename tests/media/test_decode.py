"""Other people's files: damaged, mislabelled, huge, and playlists that point elsewhere. About 8 seconds."""

import os
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hibari.errors import BadMedia
from hibari.media.child import Limits
from hibari.media.decode import _Patience, probe, read_image, read_video, reading
from hibari.media.encode import write_video


def noise(height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def refusal(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(BadMedia) as caught:
        read_image(path, limits or Limits())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_are_not_pictures(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:4000])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    write_video(tmp_path / "video.mp4", [noise()] * 3, 12)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "video.mp4").read_bytes()[:900])
    assert "no such file" in refusal(tmp_path / "none.png")
    assert "is a video" in refusal(tmp_path / "video.mp4")
    assert "cut short" in refusal(tmp_path / "cut.mp4")
    assert "is empty" in refusal(tmp_path / "empty.png")
    assert "is a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    assert "is no file" in refusal(tmp_path / "pipe.png")
    for name in ("cut.png", "text.png"):
        assert "damaged" in refusal(tmp_path / name)


def test_a_playlist_reads_nothing_else(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", [noise()] * 3, 12)
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/video.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile video.mp4\n")
    for name in ("list.mp4", "concat.mp4"):
        assert "damaged" in refusal(tmp_path / name)


def test_limits_hold(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.png")
    Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")  # 8 kB that unfold to 192 MB
    assert "too large" in refusal(tmp_path / "bomb.png")
    assert "too large" in refusal(tmp_path / "a.png", Limits(pixels=1000))
    assert "memory" in refusal(tmp_path / "bomb.png", Limits(pixels=10**9, memory=400 << 20))
    assert "too long" in refusal(tmp_path / "a.png", Limits(seconds=0.001))


def test_the_limit_of_seconds_counts_waiting_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        patience = _Patience(0.2, process)
        time.sleep(0.5)
        assert process.poll() is None and not patience.ended, "nobody waited for it"
        with patience.waiting():
            process.wait(60)
        assert patience.ended and patience.seconds <= 0


def test_pictures_are_upright_and_opaque(tmp_path: Path) -> None:
    turned = Image.fromarray(noise(64, 96))
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was held upright
    turned.save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png").shape == (96, 64, 3)
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()
    Image.new("L", (8, 8), 7).save(tmp_path / "grey.jpg")
    assert (read_image(tmp_path / "grey.jpg") == 7).all()
    assert probe(tmp_path / "grey.jpg").codec == "jpeg"


def test_reading_stops_where_it_is_told(tmp_path: Path) -> None:
    frames = [np.full((64, 64, 3), 20 * index, np.uint8) for index in range(8)]
    write_video(tmp_path / "a.mp4", frames, 8)
    info, back = read_video(tmp_path / "a.mp4", 3)
    assert (info.frames, len(back)) == (8, 3)
    assert abs(int(back[2].mean()) - 40) < 3


def test_a_few_frames_of_each_second(tmp_path: Path) -> None:
    frames = [np.full((64, 64, 3), 10 * index, np.uint8) for index in range(24)]
    write_video(tmp_path / "a.mp4", frames, 8)
    for a_second, expected in ((2.0, [0, 4, 8, 12, 16, 20]), (6.0, [0, 1, 3, 4, 5, 7]), (9.0, [0, 1, 2, 3, 4, 5])):
        with reading(tmp_path / "a.mp4", 6, Limits(), a_second=a_second) as (info, some):
            assert [round(float(frame.mean()) / 10) for frame in some] == expected
            assert info.frames == 24


def test_a_file_that_breaks_off_is_said(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [noise()] * 40, 8)
    whole = (tmp_path / "a.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        starts = sorted(packet.pos for packet in container.demux(video=0) if packet.size)
    for cut in (len(whole) // 2, starts[20], starts[-1]):  # within a frame, and between two
        (tmp_path / "a.mp4").write_bytes(whole[:cut])
        with pytest.raises(BadMedia, match="further on"):
            read_video(tmp_path / "a.mp4", 100)


def test_what_lies_beside_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.png")
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    (tmp_path / "numpy.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert read_image(Path("a.png")).shape == (64, 96, 3)


def test_reading_writes_nothing(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.png")
    read_image(tmp_path / "a.png")
    assert os.listdir(tmp_path) == ["a.png"]
