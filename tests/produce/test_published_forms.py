"""Published forms through the whole door: a start and an end image, and what each form refuses. About 15 seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clips import clip_house
from hibari.errors import InvalidRequest
from hibari.produce import Hibari
from hibari.request import GenerationRequest
from tiny_wan import build_tiny_wan

FORMS = {"ends": "wan2.1 flf2v", "starts": "wan2.1 i2v", "either": "wan2.2 i2v", "words": "wan2.1 t2v"}


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    house = clip_house(home, tmp_path_factory.mktemp("forms"))
    for name, form in FORMS.items():
        build_tiny_wan(house.settings.home / "models" / name, form, steps=2, upscale=2)
    build_tiny_wan(house.settings.home / "models" / "both", "wan2.2 t2v", steps=2, guidance_2=2.0)
    return house


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> GenerationRequest:
    """A request with both images."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    paths = [folder / "start.png", folder / "end.png"]
    for path in paths:
        Image.fromarray(random.integers(0, 255, (8, 12, 3), np.uint8)).resize((120, 80)).save(path)
    start, end = paths
    return GenerationRequest(
        prompt="a red ball", model="ends", seed=4, seconds=0.5, image=start, end_image=end, consent="nobody"
    )


def test_both_images_are_used_recorded_and_replayed(maker: Hibari, asked: GenerationRequest, tmp_path: Path) -> None:
    record = maker.generate(asked, output=tmp_path / "a.mp4")
    entry = maker.door.ledger.find(record.id)
    assert entry is not None and entry.request is not None
    assert [(each.relationship, each.title) for each in entry.sources] == [
        ("inputTo", "start image"),
        ("inputTo", "end image"),
    ]
    assert entry.request["end_image"] == str(asked.end_image)
    replayed = maker.replay(record.id, output=tmp_path / "b.mp4")
    assert replayed.same
    swapped = replace(asked, image=asked.end_image, end_image=asked.image)
    assert maker.generate(swapped, output=tmp_path / "c.mp4").making != record.making


def test_an_end_image_is_one_of_the_files_that_a_replay_needs(
    maker: Hibari, asked: GenerationRequest, tmp_path: Path
) -> None:
    end = tmp_path / "end.png"
    assert asked.end_image is not None
    end.write_bytes(asked.end_image.read_bytes())
    record = maker.generate(replace(asked, model="either", end_image=end), output=tmp_path / "a.mp4")
    end.unlink()
    with pytest.raises(InvalidRequest, match=r"the end image of .* is gone"):
        maker.replay(record.id, output=tmp_path / "b.mp4")


def test_the_guidance_of_each_expert_is_on_record_and_replayed(maker: Hibari, tmp_path: Path) -> None:
    asked = GenerationRequest(prompt="a red ball", model="both", seed=4, seconds=0.5)
    made = maker.generate(asked, output=tmp_path / "a.mp4")
    entry = maker.door.ledger.find(made.id)
    assert entry is not None and entry.request is not None
    assert (entry.request["guidance"], entry.request["guidance_2"]) == (4.0, 2.0)
    assert maker.replay(made.id, output=tmp_path / "b.mp4").same
    others = [
        replace(asked, guidance=4.0),
        replace(asked, guidance_2=3.0),
        replace(asked, guidance=3.0, guidance_2=2.0),
    ]
    plans = [maker.prepare(other, tmp_path / "c.mp4").plan.guidances for other in others]
    assert plans == [(4.0, 4.0), (4.0, 3.0), (3.0, 2.0)]


@pytest.mark.parametrize(
    ("model", "changes", "option", "message"),
    [
        (
            "ends",
            {"end_image": None},
            "image",
            "cannot do image to video. It can do between images. Give an end image too",
        ),
        ("ends", {"image": None, "end_image": None, "consent": None}, "model", "cannot do text to video"),
        ("starts", {}, "end_image", "cannot do between images. It can do image to video"),
        ("either", {"strength": 0.5}, "strength", "it has no effect with either"),
        ("words", {"end_image": None}, "image", "cannot do image to video"),
        (
            "words",
            {"image": None, "end_image": None, "consent": None, "guidance_2": 3.0},
            "guidance_2",
            "it has no effect with words",
        ),
        ("tiny", {}, "end_image", "cannot do between images"),
    ],
)
def test_what_a_form_did_not_learn_is_refused_before_it_is_loaded(
    maker: Hibari, asked: GenerationRequest, model: str, changes: dict[str, object], option: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        maker.prepare(replace(asked, model=model, **changes), "a.mp4")  # type: ignore[arg-type]
    assert caught.value.option == option
