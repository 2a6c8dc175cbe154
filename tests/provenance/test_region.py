"""A region's metadata label: what it says, and where a file carries it. About a second."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from PIL import Image

from hibari.config import Settings
from hibari.media.encode import write_still, write_video
from hibari.provenance.ids import GenerationId
from hibari.provenance.region import MetadataLabel, Region

PRODUCER = 'Studio <"云雀"> & Sons'
LABEL = MetadataLabel(producer=PRODUCER, id=GenerationId(7))
FRAME = np.full((64, 96, 3), 90, np.uint8)


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """The boxes of an MP4 file between two places: name, and where each one's content begins and ends."""
    while start + 8 <= end:
        size, name = struct.unpack(">I4s", data[start : start + 8])
        yield name.decode("latin-1"), start + 8, start + size
        start += size


def inside(data: bytes, *path: str) -> bytes:
    """The content of the box at a path."""
    start, end = 0, len(data)
    for name in path:
        start, end = next((first, last) for found, first, last in boxes(data, start, end) if found == name)
        start += 4 * (name == "meta")  # a full box: version and flags come first
    return data[start:end]


def said(xmp: str) -> dict[str, str]:
    """The label in an XMP packet."""
    found = ElementTree.fromstring(xmp).find(".//{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC")
    assert found is not None and found.text
    fields: dict[str, str] = json.loads(found.text)
    return fields


def test_the_label_has_the_seven_fields() -> None:
    fields = json.loads(LABEL.as_json())
    assert list(fields) == [
        "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2",
    ]  # fmt: skip
    assert (fields["Label"], fields["ContentProducer"], fields["ProduceID"]) == ("1", PRODUCER, str(GenerationId(7)))


def test_a_video_carries_it_where_the_guide_says(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [FRAME] * 6, 12, tags=LABEL.tags())
    data = (tmp_path / "a.mp4").read_bytes()
    keys = inside(data, "moov", "udta", "meta", "keys")
    assert struct.pack(">I", 12) + b"mdtaAIGC" in keys
    assert LABEL.as_json().encode() in inside(data, "moov", "udta", "meta", "ilst")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata["AIGC"] == LABEL.as_json()
    write_video(tmp_path / "b.mp4", [FRAME] * 6, 12)
    assert b"AIGC" not in (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(("encoder", "suffix"), [("PNG", "png"), ("WEBP", "webp"), ("JPEG", "jpg")])
def test_a_picture_carries_it_as_xmp(tmp_path: Path, encoder: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write_still(path, FRAME, encoder, xmp=LABEL.xmp())
    with Image.open(path) as picture:
        xmp = picture.info["xmp"]
    assert said(xmp if isinstance(xmp, str) else xmp.decode()) == json.loads(LABEL.as_json())
    write_still(path, FRAME, encoder)
    assert b"AIGC" not in path.read_bytes()


def test_only_the_region_asks_for_it() -> None:
    assert Region.of(Settings(home=Path("home"))).metadata_label(GenerationId(7)) is None
    region = Region.of(Settings(home=Path("home"), region="cn", organisation=PRODUCER))
    assert region.metadata_label(GenerationId(7)) == LABEL
