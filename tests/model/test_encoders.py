"""UMT5 and CLIP beside diffusers' own use of them, and folders that are refused. About 8 seconds, most for imports."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline
from diffusers.pipelines.wan.pipeline_wan_i2v import prompt_clean
from PIL import Image
from safetensors.torch import load_file, save_file

from hibari.errors import BadWeights, InvalidRequest, MissingDependency
from hibari.model.encoders import load_image_encoder, load_text_encoder
from hibari.model.umt5 import MAX_TOKENS, UMT5TextEncoder, clean
from tiny_wan import IMAGE_DIM, STATES, build_tiny_wan

PROMPTS = [
    "a red ball rolls to the left",
    "",
    "  caf&eacute; &amp;amp; \n\n octopus â€œdriftsâ€\x9d up ",
    "ﬁve   fullwidth ＡＢＣ, and a soft\xad hyphen",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_wan(tmp_path_factory.mktemp("wan") / "i2v", "wan2.1 i2v")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> WanImageToVideoPipeline:
    return WanImageToVideoPipeline.from_pretrained(folder)


def text_encoder(folder: Path, dtype: torch.dtype = torch.float32) -> UMT5TextEncoder:
    made = load_text_encoder(folder / "text_encoder", folder / "tokenizer", "cpu", dtype)
    assert isinstance(made, UMT5TextEncoder)
    return made


def test_states_are_those_of_diffusers_without_the_padding(folder: Path, pipeline: WanImageToVideoPipeline) -> None:
    want = pipeline._get_t5_prompt_embeds(PROMPTS, max_sequence_length=MAX_TOKENS)
    for got, padded in zip(text_encoder(folder).encode(PROMPTS), want, strict=True):
        assert 1 <= len(got) < 100 and got.shape[1] == padded.shape[1]
        torch.testing.assert_close(got, padded[: len(got)], atol=1e-5, rtol=0)
        assert not padded[len(got) :].any()


def test_a_prompt_is_cleaned_as_diffusers_does_it() -> None:
    assert [clean(prompt) for prompt in PROMPTS] == [prompt_clean(prompt) for prompt in PROMPTS]
    assert clean(PROMPTS[2]) == 'café & octopus "drifts" up'


def test_a_prompt_that_would_be_cut_is_refused(folder: Path) -> None:
    encoder = text_encoder(folder)
    (states,) = encoder.encode(["red " * (MAX_TOKENS - 1)])
    assert len(states) == MAX_TOKENS
    with pytest.raises(InvalidRequest, match="512 tokens long; at most 511 are read") as caught:
        encoder.encode(["red " * MAX_TOKENS], option="negative")
    assert caught.value.option == "negative"


@pytest.mark.parametrize(
    ("dtype", "own"),
    [
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.bfloat16),
    ],
)
def test_text_is_never_read_in_float16(folder: Path, dtype: torch.dtype, own: torch.dtype) -> None:
    encoder = text_encoder(folder, dtype)
    assert {parameter.dtype for parameter in encoder.encoder.parameters()} == {own}
    assert encoder.encode(["a red ball"])[0].dtype == own


def test_states_of_pictures_are_those_of_diffusers(folder: Path, pipeline: WanImageToVideoPipeline) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(2)]
    want = pipeline.encode_image([Image.fromarray(frame) for frame in frames], "cpu")
    encoder = load_image_encoder(folder / "image_encoder", folder / "image_processor", "cpu", torch.float32)
    got = encoder.encode(frames)
    assert got.shape == (1, 2 * STATES, IMAGE_DIM)
    torch.testing.assert_close(got[0], want.flatten(0, 1), atol=1e-5, rtol=0)


def change(file: str, **values: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def drop(key: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "text_encoder" / "model.safetensors"
        tensors = load_file(path)
        del tensors[key]
        save_file(tensors, path)

    return damage


def pickle_instead(folder: Path) -> None:
    (folder / "text_encoder" / "model.safetensors").unlink()
    torch.save({}, folder / "text_encoder" / "pytorch_model.bin")


def cut(folder: Path) -> None:
    path = folder / "text_encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def more_words(folder: Path) -> None:
    path = folder / "tokenizer" / "tokenizer.json"
    table = json.loads(path.read_text())
    table["model"]["vocab"] += [[f"▁zebra{i}", -1.0] for i in range(9)]
    path.write_text(json.dumps(table))


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "another encoder": (change("text_encoder/config.json", model_type="llama"), "a llama is no text encoder"),
    "no config": (lambda folder: (folder / "text_encoder/config.json").unlink(), "not a text encoder's config"),
    "a key lacking": (drop("encoder.final_layer_norm.weight"), "1 keys differ, such as encoder.final_layer_norm"),
    "another size": (change("text_encoder/config.json", d_ff=64), "not (a whole|this) UMT5EncoderModel"),
    "a pickle": (pickle_instead, "not a whole UMT5EncoderModel"),
    "cut short": (cut, "not a whole UMT5EncoderModel"),
    "a tokenizer of another model": (more_words, "tokens, and the text encoder knows"),
    "no tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), "not a tokenizer"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(case: str, folder: Path, tmp_path: Path) -> None:
    damage, message = BROKEN[case]
    for part in ("text_encoder", "tokenizer"):
        shutil.copytree(folder / part, tmp_path / part)
    damage(tmp_path)
    with pytest.raises(BadWeights, match=message) as caught:
        text_encoder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop_size": {"height": 32, "width": 32}}, r"makes pictures of \(3, 32, 32\), and the image encoder sees 16"),
        ({"image_mean": [0.1, 0.2]}, "not an image processor's"),
        ({"size": {"colour": 3}}, "not an image processor's"),
    ],
)
def test_a_processor_that_does_not_fit_is_refused(
    values: dict[str, object], message: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "image_processor", tmp_path / "image_processor")
    change("image_processor/preprocessor_config.json", **values)(tmp_path)
    with pytest.raises(BadWeights, match=message):
        load_image_encoder(folder / "image_encoder", tmp_path / "image_processor", "cpu", torch.float32)


@pytest.mark.parametrize("missing", ["transformers", "ftfy"])
def test_a_package_that_is_not_here_is_named(missing: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = text_encoder(folder)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependency, match=missing) as caught:
        text_encoder(folder) if missing == "transformers" else encoder.encode(["a red ball"])
    assert "pip install" in caught.value.hint and "[wan]" in caught.value.hint
