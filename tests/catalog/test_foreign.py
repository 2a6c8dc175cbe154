"""Folders that diffusers runs: found, checked and described without diffusers or torch. About 3 seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hibari import catalog
from hibari.catalog import families
from hibari.catalog.form import NATIVE
from hibari.catalog.pipelines import call_of
from hibari.config import Settings
from hibari.errors import BadWeights, MissingDependency
from hibari.request import Size

PARTS = {
    "transformer": ["diffusers", "LTXVideoTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLLTXVideo"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
}
CONFIGS = {"tokenizer": "tokenizer_config.json", "scheduler": "scheduler_config.json"}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder with one folder of LTX's form, whole but for sensible weights."""
    folder = tmp_path / "models" / "ltx"
    write_json(folder / "model_index.json", {"_class_name": "LTXPipeline", "_diffusers_version": "0.42.1", **PARTS})
    for part in PARTS:
        write_json(folder / part / CONFIGS.get(part, "config.json"), {"shift": 2.0} if part == "scheduler" else {})
        if part not in CONFIGS:
            save_file({"x": np.zeros((8, 8), np.float32)}, folder / part / "model.safetensors")
    return tmp_path


def find(home: Path) -> catalog.Model:
    return catalog.find("ltx", Settings(home=home))


def refusal(home: Path) -> str:
    with pytest.raises(BadWeights) as caught:
        find(home)
    assert caught.value.option == "model" and "\n" not in str(caught.value)
    return str(caught.value)


def change_index(home: Path, **changes: Any) -> None:
    path = home / "models/ltx/model_index.json"
    write_json(path, json.loads(path.read_text()) | changes)


def test_a_family_has_its_habits(home: Path) -> None:
    model = find(home)
    card = model.card
    assert (model.form.backend, model.form.pipeline) == ("diffusers", "LTXPipeline")
    assert card.sizes == (Size(704, 512), Size(512, 704)) and card.fps == 25 and card.steps == 50
    assert (card.seconds, card.max_seconds, card.guidance) == (5.0, 10.24, 3.0)
    assert card.verbs == ("text to video",) and card.solver == "FlowMatchEulerDiscreteScheduler"
    assert model.strides.frames_at_least(120) == 121 and model.strides.pixel_multiple == 32
    assert model.form.settings == {"negative", "steps", "guidance", "flow_shift"} and model.flow_shift == 2.0
    assert not model.form.has_latents and len(model.files) == 3 and model.revision.startswith("sha256:")


def test_a_card_stands_over_the_family(home: Path) -> None:
    card = {"name": "ltx", "revision": "1", "licence": "MIT", "sizes": ["64x64"], "fps": 8, "seconds": 1}
    write_json(home / "models/ltx/hibari.json", card | {"max_seconds": 2, "steps": 3, "guidance": 1.0, "references": 4})
    model = find(home)
    assert (model.card.sizes, model.revision, model.card.guidance) == ((Size(64, 64),), "1", 1.0)
    assert model.card.verbs == ("text to video",), "and says nothing of what the pipeline cannot do"
    assert (model.card.references, model.card.solver) == (0, "FlowMatchEulerDiscreteScheduler")


def test_neither_diffusers_nor_torch_is_loaded(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hibari import catalog; from hibari.config import Settings;"
        f"catalog.find('ltx', Settings(home=Path({str(home)!r})));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("pipeline", "verbs"),
    [
        ("LTXImageToVideoPipeline", ("image to video",)),
        ("HeliosPipeline", ("text to video", "image to video")),
        ("CogVideoXImageToVideoPipeline", ("image to video",)),
        ("CosmosTextToWorldPipeline", ("text to video",)),
        ("Kandinsky5T2VPipeline", ("text to video",)),
    ],
)
def test_verbs_are_those_of_the_class(home: Path, pipeline: str, verbs: tuple[str, ...]) -> None:
    change_index(home, _class_name=pipeline)
    assert find(home).card.verbs == verbs


def test_settings_are_those_of_the_class_and_the_scheduler(home: Path) -> None:
    change_index(home, _class_name="HunyuanVideoPipeline")
    write_json(home / "models/ltx/scheduler/scheduler_config.json", {"shift": 3.0, "use_dynamic_shifting": True})
    assert find(home).form.settings == {"steps", "guidance"}, "its second guidance is off, and so is the negative"
    change_index(home, _class_name="HeliosPyramidPipeline")
    assert "steps" not in find(home).form.settings
    change_index(home, _class_name="HunyuanVideo15Pipeline", guider=["diffusers", "ClassifierFreeGuidance"])
    write_json(home / "models/ltx/guider/guider_config.json", {"guidance_scale": 6.0})
    assert find(home).form.settings == {"negative", "steps"} and find(home).card.guidance == 6.0


def test_a_calls_own_frame_rate_counts(home: Path) -> None:
    change_index(home, _class_name="Cosmos2VideoToWorldPipeline")
    assert (find(home).card.fps, find(home).strides.frames_at_least(90)) == (16, 93)
    change_index(home, _class_name="CosmosTextToWorldPipeline")
    assert (find(home).card.fps, find(home).card.max_seconds) == (30, 4.0)


@pytest.mark.parametrize(
    ("pipeline", "why"),
    [
        ("SonglarkPipeline", "which is installed, has no SonglarkPipeline"),
        ("FluxPipeline", "takes no num_frames"),
        ("WanAnimatePipeline", "needs face_video, pose_video"),
        ("LucyEditPipeline", "needs video"),
        ("AnyFlowFARPipeline", "counts no steps"),
        ("Cosmos3OmniPipeline", "gives no frames"),
        (["pipeline", "MyPipeline"], "names no pipeline"),
        ("../x", "has no ../x"),
    ],
)
def test_a_class_that_cannot_be_run(home: Path, pipeline: object, why: str) -> None:
    change_index(home, _class_name=pipeline)
    assert why in refusal(home)


def test_parts_that_are_missing_or_broken(home: Path) -> None:
    folder = home / "models/ltx"
    weights = folder / "vae/model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    assert "cut short" in refusal(home)
    weights.unlink()
    assert "no safetensors" in refusal(home)
    (folder / "vae/diffusion_pytorch_model.bin").write_bytes(b"x")
    assert "is a pickle" in refusal(home)
    weights.write_bytes(whole)
    assert find(home).name == "ltx", "a pickle beside safetensors is left alone"
    (folder / "tokenizer/tokenizer_config.json").unlink()
    assert "not there" in refusal(home)


def test_an_index_without_parts_and_a_config_that_is_a_pipe(home: Path) -> None:
    folder = home / "models/ltx"
    os.mkfifo(folder / "vae/other_config.json")
    assert "vae/other_config.json: not a file" in refusal(home)
    (folder / "vae/other_config.json").unlink()
    write_json(folder / "model_index.json", {"_class_name": "LTXPipeline"})
    assert "names no part with weights" in refusal(home)


def test_code_of_its_own_is_refused(home: Path) -> None:
    folder = home / "models/ltx"
    code = folder / "transformer" / "my_model.py"
    code.write_text("")
    assert "code of its own" in refusal(home)
    code.unlink()
    write_json(folder / "text_encoder/config.json", {"auto_map": {"AutoModel": "x.Model"}})
    assert "code of its own" in refusal(home)
    write_json(folder / "text_encoder/config.json", {})
    change_index(home, vae=["my_library", "Vae"])
    assert "comes from my_library" in refusal(home)
    change_index(home, vae=["diffusers.x", "Vae"])
    assert "no class of a library" in refusal(home)


def test_a_part_that_is_left_out_and_one_of_a_pipelines_own(home: Path) -> None:
    change_index(home, image_encoder=[None, None], connectors=["ltx2", "LTX2TextConnectors"])
    assert "connectors: not there" in refusal(home)
    write_json(home / "models/ltx/connectors/config.json", {})
    save_file({"x": np.zeros(1, np.float32)}, home / "models/ltx/connectors/model.safetensors")
    assert len(find(home).files) == 4


def test_without_diffusers_it_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hibari.catalog.pipelines.find_spec", lambda _: None)
    with pytest.raises(MissingDependency) as caught:
        find(home)
    assert "[diffusers]" in caught.value.hint


def test_every_family_names_classes_that_there_are() -> None:
    known = {
        "LTX2": "LTX2Pipeline", "LTX": "LTXPipeline", "HunyuanVideo15": "HunyuanVideo15Pipeline",
        "HunyuanVideoFramepack": "HunyuanVideoFramepackPipeline", "HunyuanVideo": "HunyuanVideoPipeline",
        "HunyuanSkyreels": "HunyuanSkyreelsImageToVideoPipeline", "CogVideoX": "CogVideoXPipeline",
        "ConsisID": "ConsisIDPipeline", "EasyAnimate": "EasyAnimatePipeline", "Kandinsky5": "Kandinsky5T2VPipeline",
        "MotifVideo": "MotifVideoPipeline", "Mochi": "MochiPipeline",
        "Wan": "WanVACEPipeline", "Helios": "HeliosPipeline", "Cosmos2": "Cosmos2VideoToWorldPipeline",
        "Cosmos": "CosmosTextToWorldPipeline", "Allegro": "AllegroPipeline", "AnimateDiff": "AnimateDiffPipeline",
        "Latte": "LattePipeline",
    }  # fmt: skip
    assert [family.prefix for family in families.FAMILIES] == list(known)
    for prefix, pipeline in known.items():
        assert families.family_of(pipeline).prefix == prefix
        call = call_of(pipeline)
        assert call.counts and call.gives_frames and "prompt" in call.takes and pipeline not in NATIVE
        rates = [call.defaults[name] for name in ("frame_rate", "fps") if name in call.defaults]
        assert all(rate == families.family_of(pipeline).fps for rate in rates)
    for family in families.FAMILIES:
        assert family.frames == family.strides.frames_at_least(family.frames or 1) or not family.frames, family.prefix
    for family in families.FAMILIES:
        for size in map(Size.parse, family.sizes):
            assert not any(side % family.strides.pixel_multiple for side in size), (family.prefix, size)
    assert families.family_of("SanaVideoPipeline") is families.UNKNOWN
