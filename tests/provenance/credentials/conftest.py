"""A signing authority and small unsigned files, shared by the tests of credentials."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from hibari.media.encode import write_still, write_video
from hibari.provenance.credentials.authority import Authority
from hibari.provenance.credentials.manifest import WATERMARK_ALGORITHM, Origin, Software
from hibari.provenance.ids import GenerationId


class MakeOrigin(Protocol):
    def __call__(self, **changes: Any) -> Origin: ...


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.open(tmp_path_factory.mktemp("authority") / "credentials", organisation="Studio Hibari")


@pytest.fixture(scope="session")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip of one second and a picture, of noise: a.mp4, a.png, a.webp and a.jpg."""
    folder = tmp_path_factory.mktemp("unsigned")
    frames = list(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8))
    write_video(folder / "a.mp4", frames, 8)
    for suffix, encoder in ((".png", "PNG"), (".webp", "WEBP"), (".jpg", "JPEG")):
        write_still(folder / f"a{suffix}", frames[0], encoder)
    return folder


@pytest.fixture
def make_origin() -> MakeOrigin:
    """Origins of clips that were made a moment ago."""

    def make(**changes: Any) -> Origin:
        usual = {
            "id": GenerationId.new(),
            "created_at": datetime.now(UTC).replace(microsecond=0),
            "action": "created",
            "software": Software(name="Hibari", version="0.1.0"),
            "model": "hibari-mini",
            "revision": "7",
            "watermark": WATERMARK_ALGORITHM,
            "seconds": 1.0,
            "marks": ("visible label",),
        }
        return Origin(**(usual | changes))

    return make
