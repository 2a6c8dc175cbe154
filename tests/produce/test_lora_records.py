"""A LoRA on the road: named in the record with its digest, made again to the bit, refused where it changed.

About 8 seconds.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hibari.errors import InvalidRequest
from hibari.media.files import file_sha256
from hibari.produce import Hibari
from hibari.produce.sheet import publish_sheet
from hibari.request import GenerationRequest


@pytest.fixture(scope="module")
def maker(home: Path) -> Hibari:
    return Hibari(home=home, model="tiny", device="cpu", dtype="float32", user="ann")


@pytest.fixture
def soft(maker: Hibari) -> Iterator[Path]:
    folder = maker.settings.loras_folder
    folder.mkdir(exist_ok=True)
    path = folder / "soft.safetensors"
    write(path, 2.0)
    yield path
    path.unlink()


def write(path: Path, value: float) -> None:
    save_file({"diffusion_model.blocks.0.self_attn.v.diff_b": np.full(256, value, np.float32)}, path)


def ask(**fields: Any) -> GenerationRequest:
    return GenerationRequest(**({"prompt": "an octopus drifts to the left", "seed": 4, "seconds": 0} | fields))


def test_it_is_on_record_and_a_replay_makes_the_same(maker: Hibari, soft: Path, tmp_path: Path) -> None:
    bare = maker.generate(ask(), output=tmp_path / "a.png")
    first = maker.generate(ask(loras=["soft:0.5"]), output=tmp_path / "b.png")
    assert first.making.latents_sha256 != bare.making.latents_sha256
    digest = file_sha256(soft)
    assert first.revision == f"{bare.revision}+soft:0.5#{digest[:12]}"
    assert first.as_dict()["loras"] == [{"lora": str(soft), "weight": 0.5, "expert": "", "sha256": digest}]
    entry = maker.door.ledger.find(first.id)
    assert entry is not None and entry.revision == first.revision
    assert entry.request is not None and entry.request["loras"] == first.as_dict()["loras"]
    again = maker.replay(first.id, output=tmp_path / "c.png")
    assert again.same and again.record.revision == first.revision
    last = maker.generate(ask(), output=tmp_path / "d.png")
    assert last.making.latents_sha256 == bare.making.latents_sha256, "nothing of it stays with the next request"


def test_a_replay_without_the_very_file_is_refused(maker: Hibari, soft: Path, tmp_path: Path) -> None:
    first = maker.generate(ask(loras=["soft"]), output=tmp_path / "a.png")
    write(soft, 3.0)
    with pytest.raises(InvalidRequest, match="another file by now"):
        maker.replay(first.id, output=tmp_path / "b.png")
    soft.rename(soft.with_name("moved.safetensors"))
    try:
        with pytest.raises(InvalidRequest, match="not here"):
            maker.replay(first.id, output=tmp_path / "b.png")
    finally:
        soft.with_name("moved.safetensors").rename(soft)


def test_a_file_that_does_not_fit_is_refused_before_the_model_loads(home: Path, soft: Path, tmp_path: Path) -> None:
    save_file({"diffusion_model.blocks.40.self_attn.v.diff_b": np.ones(256, np.float32)}, soft)
    maker = Hibari(home=home, model="tiny", device="cpu", dtype="float32", user="ann")
    with pytest.raises(InvalidRequest, match="no place") as raised:
        maker.generate(ask(loras=["soft"]), output=tmp_path / "a.png")
    assert raised.value.option == "loras" and maker.held == () and not list(tmp_path.iterdir())


def test_a_compiled_model_takes_none(home: Path, soft: Path, tmp_path: Path) -> None:
    """Its blocks share one compiled code, which runs no hooks: the LoRA would be on record and not in the frames."""
    maker = Hibari(home=home, model="tiny", device="cpu", dtype="float32", compile="on")
    with pytest.raises(InvalidRequest, match="compiled") as raised:
        maker.generate(ask(loras=[soft.stem]), output=tmp_path / "a.png")
    assert raised.value.option == "loras" and maker.held == ()


def test_a_sheet_of_it_says_so(maker: Hibari, soft: Path, tmp_path: Path) -> None:
    from PIL import Image

    assert soft.is_file()
    first = maker.generate(ask(loras=["soft:0.5"]), output=tmp_path / "a.png")
    sheet = publish_sheet(maker, Image.open(tmp_path / "a.png"), [first], tmp_path / "sheet.png")
    assert sheet.revision == first.revision
