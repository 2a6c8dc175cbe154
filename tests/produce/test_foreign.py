"""Models that diffusers runs: seeds, stopping, start images, and what is refused. About 15 seconds."""

import os
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hibari.errors import BadWeights, Cancelled, InvalidRequest
from hibari.media.encode import write_video
from hibari.produce import Hibari, Previews, Progress
from hibari.request import GenerationRequest
from tiny_foreign import build_tiny_foreign

NAMES = ("ltx", "ltx-image", "hunyuan", "cogvideox", "helios")
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept")  # of Helios' scheduler


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with some tiny families in it."""
    house = tmp_path_factory.mktemp("house")
    house.chmod(0o700)
    for name in NAMES:
        build_tiny_foreign(house / "models" / name, name)
    return house


@pytest.fixture(scope="module")
def maker(house: Path) -> Hibari:
    return Hibari(home=house, model="ltx", device="cpu", dtype="float32", user="ann")


def ask(**fields: Any) -> GenerationRequest:
    return GenerationRequest(**({"prompt": "a hare runs", "seed": 4} | fields))


def test_a_seed_makes_the_same_frames_again(maker: Hibari, tmp_path: Path) -> None:
    first = maker.generate(ask(), output=tmp_path / "a.mp4")
    other = maker.generate(ask(seed=5), output=tmp_path / "b.mp4")
    replayed = maker.replay(first.id, output=tmp_path / "c.mp4")
    assert replayed.same and first.making.frames_sha256 != other.making.frames_sha256


@pytest.mark.parametrize("family", ["ltx", "helios"])
def test_it_stops_within_a_step(maker: Hibari, tmp_path: Path, family: str) -> None:
    cancel, told = Event(), []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if progress.stage == "denoise" and progress.done == 1:
            cancel.set()

    request = ask(model=family, steps=6)
    with pytest.raises(Cancelled):
        maker.generate(request, output=tmp_path / "a.mp4", on_progress=stop, cancel=cancel)
    assert max(each.done for each in told if each.stage == "denoise") == 1
    assert os.listdir(tmp_path) == []
    assert maker.generate(ask(model=family), output=tmp_path / "a.mp4").path.is_file(), "the model is as good as new"


def test_windows_are_counted_as_one_walk(maker: Hibari, tmp_path: Path) -> None:
    told: list[Progress] = []
    request = ask(model="helios", seconds=6.0, steps=3, guidance=1)
    record = maker.generate(request, output=tmp_path / "a.mp4", on_progress=told.append)
    assert record.plan.render.frames == 49, "two windows of 33"
    assert [each.done for each in told if each.stage == "denoise"] == [0, 0, 1, 1, 2, 2, 3]


def test_weights_that_come_into_the_place_of_others_are_loaded(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = build_tiny_foreign(tmp_path / "models/ltx", "ltx")
    maker = Hibari(home=tmp_path, model="ltx", device="cpu", dtype="float32")
    before = maker.generate(ask(), output=tmp_path / "a.mp4")
    path = folder / "transformer/diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    save_file({key: tensor.clone() * 1.5 for key, tensor in tensors.items()}, tmp_path / "new", {"format": "pt"})
    (tmp_path / "new").replace(path)
    after = maker.generate(ask(), output=tmp_path / "b.mp4")
    assert after.making.frames_sha256 != before.making.frames_sha256 and maker.held == ("ltx",)
    entries = [maker.door.ledger.find(record.id) for record in (before, after)]
    assert len({entry.weights_sha256 for entry in entries if entry is not None}) == 2


def test_a_model_that_needs_an_image_is_loaded_ahead(house: Path) -> None:
    maker = Hibari(home=house, model="ltx-image", device="cpu")
    maker.load()
    assert maker.held == ("ltx-image",)


def test_a_start_image_begins_the_video(maker: Hibari, tmp_path: Path) -> None:
    digests = []
    for colour in ("orange", "navy"):
        Image.new("RGB", (192, 128), colour).save(tmp_path / f"{colour}.png")
        request = ask(model="ltx-image", image=tmp_path / f"{colour}.png", consent="nobody")
        record = maker.generate(request, output=tmp_path / f"{colour}.mp4")
        digests.append(record.making.frames_sha256)
        entry = maker.door.ledger.find(record.id)
        assert entry is not None and len(entry.sources) == 1
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("fields", "option", "why"),
    [
        ({"model": "ltx-image"}, "model", "cannot do text to video"),
        ({"image": "a.png"}, "image", "cannot do image to video"),
        ({"video": "a.mp4"}, "video", "cannot do video to video"),
        ({"video": "a.mp4", "extend": True}, "extend", "cannot do extend"),
        ({"seconds": 0}, "seconds", "cannot do text to image"),
        ({"model": "ltx-image", "image": "a.png", "seconds": 0}, "seconds", "cannot do text to image"),
        ({"references": ("a.png",)}, "references", "takes no reference pictures"),
        ({"model": "ltx-image", "image": "a.png", "strength": 0.5}, "strength", "no effect"),
        ({"model": "ltx-image", "image": "a.png", "end_image": "a.png"}, "end_image", "cannot do"),
        ({"shortcuts": {"cache": 0.1}}, "shortcuts", "no effect with ltx"),
        ({"model": "cogvideox", "flow_shift": 3}, "flow_shift", r"no effect with cogvideox \(CogVideoXPipeline\)"),
        ({"model": "hunyuan", "negative": "a fox"}, "negative", "no effect"),
        ({"guidance": 1, "negative": "a fox"}, "negative", "no effect at a guidance of 1"),
        ({"loras": ("sketch",)}, "loras", "no effect with ltx"),
        ({"seconds": 9}, "seconds", "makes at most 8"),
    ],
)
def test_what_cannot_take_effect_is_refused_before_anything_is_loaded(
    house: Path, tmp_path: Path, fields: dict[str, Any], option: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (192, 128), "orange").save("a.png")
    write_video(tmp_path / "a.mp4", iter(np.zeros((8, 64, 96, 3), np.uint8)), 8)
    maker = Hibari(home=house, model="ltx")
    output = tmp_path / ("b.png" if fields.get("seconds") == 0 else "b.mp4")
    with pytest.raises(InvalidRequest, match=why) as caught:
        maker.generate(ask(**fields), output=output)
    assert caught.value.option == option and maker.held == ()


@pytest.mark.parametrize("engine", [{"compile": "on"}, {"storage": "int8"}, {"offload": "cpu"}, {"memory": 4.0}])
def test_a_way_of_computing_that_is_not_diffusers(house: Path, tmp_path: Path, engine: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="no effect with ltx") as caught:
        Hibari(home=house, model="ltx", **engine).prepare(ask(), tmp_path / "a.mp4")
    assert caught.value.option == next(iter(engine))


def test_latents_and_previews_there_are_none(maker: Hibari, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="hands out no latents") as caught:
        maker.generate(ask(), output=tmp_path / "a.mp4", keep_latents=tmp_path / "kept.safetensors")
    assert caught.value.option == "keep_latents" and os.listdir(tmp_path) == []
    previews = Previews(path=tmp_path / "p.webp", tell=lambda _: None, every_s=0.0)
    maker.generate(ask(), output=tmp_path / "a.mp4", previews=previews)
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_a_prompt_that_would_be_cut_off_is_refused(maker: Hibari, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="201 tokens, and ltx reads at most 128") as caught:
        maker.generate(ask(prompt="hare " * 200), output=tmp_path / "a.mp4")
    assert caught.value.option == "prompt" and os.listdir(tmp_path) == []


@pytest.mark.parametrize("part", ["transformer", "text_encoder"])
def test_weights_that_lack_a_tensor_are_not_made_up(tmp_path: Path, part: str) -> None:
    folder = build_tiny_foreign(tmp_path / "ltx", "ltx")
    (path,) = (folder / part).glob("*.safetensors")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dictionary
    gone = next(name for name in tensors if name.endswith("norm.weight") or "attn" in name)
    del tensors[gone]
    save_file(tensors, path, {"format": "pt"})
    (tmp_path / "home").mkdir(mode=0o700)
    with pytest.raises(BadWeights, match="missing or do not fit") as caught:
        Hibari(home=tmp_path / "home", model=str(folder), device="cpu").load()
    assert gone in str(caught.value)
