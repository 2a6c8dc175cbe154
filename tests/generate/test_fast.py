"""Which requests a model's fast version makes, which the full one, and what is said of it. About 5 seconds.

No weights are loaded: plans and headers alone.
"""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from hibari.catalog import Fast, Model, find_loras, open_folder
from hibari.config import Settings
from hibari.errors import BadWeights, InvalidRequest
from hibari.generate.plan import Plan, make_plan
from hibari.generate.sources import ClipShape
from hibari.request import GenerationRequest, LoraUse
from tiny_fast import add_fast, build_teacher


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_teacher(tmp_path_factory.mktemp("tiny") / "model")
    add_fast(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return open_folder(folder)


@pytest.fixture
def by_default(folder: Path) -> Model:
    """The same model, whose card makes its fast version the default."""
    path = folder / "hibari.json"
    before = path.read_text()
    card = json.loads(before)
    path.write_text(json.dumps(card | {"fast": card["fast"] | {"default": True}}))
    model = open_folder(folder)
    path.write_text(before)
    return model


def plan_of(model: Model, **asked: Any) -> Plan:
    clip = ClipShape(frames=12, fps=Fraction(8), width=96, height=64) if "video" in asked else None
    values: dict[str, Any] = {"prompt": "a frog", "seconds": 1}
    return make_plan(GenerationRequest(**values | asked), model, 1, clip)


def is_fast(plan: Plan) -> bool:
    how = (plan.steps, plan.guidance, plan.solver)
    assert how == ((2, 1.0, "euler") if plan.fast is not None else (plan.steps, plan.guidance, "unipc"))
    assert plan.laid_on == ((plan.fast, *plan.loras) if plan.fast is not None else plan.loras)
    return plan.fast is not None


def test_it_is_made_by_who_is_asked_for(model: Model, by_default: Model) -> None:
    assert (
        not is_fast(plan_of(model)) and is_fast(plan_of(model, fast=True)) and not is_fast(plan_of(model, fast=False))
    )
    assert is_fast(plan_of(by_default)) and not is_fast(plan_of(by_default, fast=False))
    assert is_fast(plan_of(by_default, seconds=0)) and is_fast(plan_of(by_default, image=Path("a.png")))
    assert is_fast(plan_of(by_default, video=Path("a.mp4"), extend=True, seconds=0.5))
    assert is_fast(plan_of(by_default, steps=2, guidance=1)), "what it does anyway may be said"
    fast = plan_of(model, fast=True).fast
    assert (
        fast is not None
        and fast.name == "fast"
        and set(fast.layers) == {"blocks.0.attn1.to_v", "blocks.0.attn1.to_out.0"}
    )


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"steps": 3}, "steps"),
        ({"guidance": 2.0}, "guidance"),
        ({"negative": "fog"}, "negative"),
        ({"flow_shift": 2.0}, "flow_shift"),
        ({"shortcuts": {"cache": 0.1}}, "shortcuts"),
        ({"image": Path("a.png"), "strength": 0.5}, "strength"),
        ({"video": Path("a.mp4")}, "strength"),
    ],
)
def test_what_it_cannot_is_refused_or_made_by_the_full_version(
    model: Model, by_default: Model, asked: dict[str, Any], option: str
) -> None:
    with pytest.raises(InvalidRequest, match="the fast version of tiny cannot") as raised:
        plan_of(model, fast=True, **asked)
    assert raised.value.option == option and raised.value.hint == "The full version can."
    plan = plan_of(by_default, **asked)
    assert not is_fast(plan) and any(note.startswith("made by the full version: ") for note in plan.notes)
    assert not any("full version" in note for note in plan_of(model, **asked).notes), "where nobody asked for it"


def test_by_hand_the_file_brings_its_solver_and_the_rest_is_said(model: Model, folder: Path) -> None:
    for name in ("fast", str(folder / "loras/fast.safetensors")):
        plan = plan_of(model, loras=(name,), steps=2, guidance=1)
        assert (plan.fast, plan.solver, plan.steps, plan.guidance) == (None, "euler", 2, 1)
        (lora,) = find_loras(
            GenerationRequest(prompt="a", loras=(LoraUse.parse(name),)).loras, model, Settings(home=Path("/nowhere"))
        )
        assert lora.path == folder / "loras/fast.safetensors"
    with pytest.raises(InvalidRequest, match="laid on already"):
        plan_of(model, loras=("fast",), fast=True)
    assert plan_of(model, loras=("other",)).solver == "unipc"


def test_a_model_without_one_says_so(tmp_path: Path) -> None:
    bare = open_folder(build_teacher(tmp_path / "bare"))
    assert bare.card.fast is None and not is_fast(plan_of(bare, fast=False))
    with pytest.raises(InvalidRequest, match="no fast version") as raised:
        plan_of(bare, fast=True)
    assert raised.value.option == "fast"


def test_a_card_names_a_file_that_is_there_and_fits(tmp_path: Path) -> None:
    folder = build_teacher(tmp_path / "model")
    path = add_fast(folder)
    assert open_folder(folder).card.fast == Fast(lora="loras/fast.safetensors", steps=2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(BadWeights, match="cut short"):
        open_folder(folder)
    path.unlink()
    with pytest.raises(BadWeights, match=r"fast\.safetensors: cannot be read"):
        open_folder(folder)
    path.write_bytes(whole.replace(b"blocks.0", b"blocks.7"))
    with pytest.raises(BadWeights, match="has no place in tiny"):
        plan_of(open_folder(folder), fast=True)
    for wrong in ({"lora": "/etc/fast.safetensors"}, {"lora": "../a.safetensors"}, {"steps": 0}, {"guidance": 0.5}):
        card = json.loads((folder / "hibari.json").read_text())
        (folder / "hibari.json").write_text(json.dumps(card | {"fast": card["fast"] | wrong}))
        with pytest.raises(BadWeights, match="not a model card"):
            open_folder(folder)
        (folder / "hibari.json").write_text(json.dumps(card))
