"""Building a pack from small tarballs made here. About a second."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from hibari.errors import HibariError
from hibari.worlds.build import assemble, build_pack, reduce
from hibari.worlds.pack import CELL
from hibari.worlds.sources import shown

OCTOPUS, WAVE = "1F419", "1F44B"
EMOJI = [
    {"hexcode": OCTOPUS, "label": "octopus", "tags": ["sea"], "group": 3},
    {
        "hexcode": WAVE,
        "label": "waving hand",
        "group": 1,
        "skins": [{"hexcode": f"{WAVE}-1F3FD", "label": "waving hand: medium skin tone", "tone": 3}],
    },
]
GROUPS = {"groups": [{"order": 1, "key": "people-body"}, {"order": 3, "key": "animals-nature"}]}


def animation(count: int) -> bytes:
    """A red box of 100 x 50 pixels that moves 2 pixels a frame to the right."""
    frames = []
    for index in range(count):
        frame = Image.new("RGBA", (256, 256))
        ImageDraw.Draw(frame).rectangle((20 + 2 * index, 80, 119 + 2 * index, 129), fill=(255, 0, 0, 255))
        frames.append(frame)
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=42, quality=90)
    return file.getvalue()


def tarball(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_reduce_halves_the_rate_and_crops_to_what_is_ever_seen() -> None:
    frames = reduce(animation(9))
    assert len(frames) == 5
    # The box sweeps 116 x 50 pixels in all, and 116 of them become CELL.
    assert frames[0].size == (CELL, round(50 / 116 * CELL))
    boxes = [frame.getbbox() for frame in frames]
    assert boxes[0] is not None and boxes[4] is not None
    assert boxes[0][0] == 0 and boxes[4][2] == CELL


def test_assemble_names_and_keeps_skin_tones(tmp_path: Path) -> None:
    names = tarball(
        tmp_path / "names.tgz",
        {"en/data.json": json.dumps(EMOJI).encode(), "en/messages.json": json.dumps(GROUPS).encode()},
    )
    moving = tarball(tmp_path / "moving.tgz", {"assets/1f419.webp": animation(9), "README.md": b"read me"})
    static = tarball(
        tmp_path / "static.tgz",
        {"assets/1f419.webp": animation(1), "assets/1f44b-1f3fd.webp": animation(1), "assets/ffff.webp": animation(1)},
    )
    seen: list[tuple[int, str]] = []
    pack = assemble([moving, static], names, tmp_path / "pack", on_progress=lambda n, name: seen.append((n, name)))
    assert pack.names == ("octopus", "waving hand with medium skin tone")
    assert seen[-1] == (2, "waving hand with medium skin tone")
    octopus, hand = pack.entries.values()
    assert octopus.frames == 5 and octopus.group == "animals-nature" and octopus.tags == ("sea",)
    assert hand.frames == 1 and hand.tone == "medium"
    assert pack.sprite("octopus").strip[0, ..., 0].max() > 240


def test_two_tones_that_the_packages_exchanged_are_put_right() -> None:
    assert shown("1f468-1f3fc") == "1f468-1f3fd" and shown("1f468-1f3fd") == "1f468-1f3fc"
    assert shown("1f469-1f3fd-200d-1f3a4") == "1f469-1f3fc-200d-1f3a4"
    for right in ("1f468", "1f468-1f3fb", "1f468-1f3fc-200d-1f33e", "1f44b-1f3fd"):
        assert shown(right) == right


def test_a_names_tarball_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HibariError, match=r"en/data\.json"):
        assemble([], tarball(tmp_path / "names.tgz", {"README.md": b""}), tmp_path / "pack")


def test_build_verifies_before_it_reads(tmp_path: Path) -> None:
    (tmp_path / "emojibase-data-17.0.0.tgz").write_bytes(b"not it")
    with pytest.raises(HibariError, match="lacks lobehub-fluent-emoji-anim-1"):
        build_pack(tmp_path, tmp_path / "pack")
