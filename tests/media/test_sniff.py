"""Files are what their first bytes say. Under a second."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hibari.media.encode import write_video
from hibari.media.sniff import sniff


@pytest.mark.parametrize(
    ("encoder", "mime"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
        ("BMP", ""),
    ],
)
def test_pictures(tmp_path: Path, encoder: str, mime: str) -> None:
    Image.new("RGB", (32, 32), "orange").save(tmp_path / "a.txt", encoder)
    assert sniff(tmp_path / "a.txt") == mime


def test_videos_and_what_is_neither(tmp_path: Path) -> None:
    write_video(tmp_path / "a.png", iter(np.zeros((2, 32, 32, 3), np.uint8)), 12)
    assert sniff(tmp_path / "a.png") == "video/mp4"
    (tmp_path / "a.mov").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ")
    assert sniff(tmp_path / "a.mov") == "video/quicktime"
    (tmp_path / "empty.mp4").touch()
    assert sniff(tmp_path / "empty.mp4") == ""
    with pytest.raises(FileNotFoundError):
        sniff(tmp_path / "none.mp4")
