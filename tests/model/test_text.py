"""The text encoder against transformers' BertModel, and folders that do not fit. About 8 seconds: one import."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertConfig, BertModel

import hibari_mini
from hibari.errors import BadWeights, InvalidRequest
from hibari.model.text import MiniLMTextEncoder

PROMPTS = [
    "an octopus drifts to the right over the ocean at sunset",
    "",
    "A red heart GROWS while it snows; behind it, a city at night — très joli!  雲雀 🐙",
    "a ball rolls to the left over a meadow, and behind a wall",
    "an octopus drifts to the left over the ocean at sunset",
]


@pytest.fixture(scope="module")
def encoder() -> MiniLMTextEncoder:
    return MiniLMTextEncoder.load(hibari_mini.path())


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with a random BERT of 2 layers and the real tokenizer."""
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48)
    BertModel(config).save_pretrained(tmp_path / "text_encoder")
    shutil.copytree(hibari_mini.path() / "tokenizer", tmp_path / "tokenizer")
    return tmp_path


def test_states_equal_those_of_transformers_as_wan_pipeline_asks_for_them(encoder: MiniLMTextEncoder) -> None:
    """Padded to a common length with a mask, and cut again."""
    model = BertModel.from_pretrained(hibari_mini.path() / "text_encoder", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(hibari_mini.path() / "tokenizer")
    inputs = tokenizer(PROMPTS, padding="max_length", max_length=48, truncation=True, return_tensors="pt")
    with torch.no_grad():
        padded = model(inputs.input_ids, inputs.attention_mask).last_hidden_state
    lengths = inputs.attention_mask.sum(dim=1).tolist()
    states = encoder.encode(PROMPTS)
    assert [len(state) for state in states] == lengths and encoder.width == 384 and encoder.max_tokens == 512
    for state, theirs, length in zip(states, padded, lengths, strict=True):
        torch.testing.assert_close(state, theirs[:length], atol=2e-5, rtol=1e-5)


def test_a_random_encoder_of_another_size_equals_transformers_too(tiny: Path) -> None:
    model = BertModel.from_pretrained(tiny / "text_encoder").eval()
    encoder = MiniLMTextEncoder.load(tiny)
    ids = torch.tensor(encoder.tokenize(PROMPTS[:1]))
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode(PROMPTS[:1])[0], model(ids).last_hidden_state[0], atol=1e-5, rtol=0)


def test_prompts_do_not_disturb_each_other(encoder: MiniLMTextEncoder) -> None:
    alone = [encoder.encode([prompt])[0] for prompt in PROMPTS]
    for state, state_alone in zip(encoder.encode(PROMPTS), alone, strict=True):
        torch.testing.assert_close(state, state_alone, atol=1e-5, rtol=0)
    assert encoder.encode([]) == []


def test_states_tell_left_from_right(encoder: MiniLMTextEncoder) -> None:
    """The reason for token states: the pooled vectors of two such prompts differ by an angle of 10 degrees."""
    right, left = (encoder.encode([PROMPTS[index]])[0] for index in (0, 4))
    assert ((right - left).norm(dim=-1) / right.norm(dim=-1)).max() > 0.5


def test_states_come_in_the_dtype_asked_for(encoder: MiniLMTextEncoder) -> None:
    half = MiniLMTextEncoder.load(hibari_mini.path(), dtype=torch.bfloat16).encode(PROMPTS[:1])[0]
    whole = encoder.encode(PROMPTS[:1])[0]
    assert half.dtype == torch.bfloat16 and whole.dtype == torch.float32
    assert (half.float() - whole).norm() < 0.03 * whole.norm()


def test_a_prompt_longer_than_the_model_reads_names_its_option(encoder: MiniLMTextEncoder) -> None:
    assert encoder.encode(["cat " * 510])[0].shape == (512, 384)
    with pytest.raises(InvalidRequest, match="511 tokens long; at most 510") as caught:
        encoder.encode(["cat " * 511])
    assert caught.value.option == "prompt"
    with pytest.raises(InvalidRequest, match="The negative is") as caught:
        encoder.encode(["cat", "cat " * 600], option="negative")
    assert caught.value.option == "negative"


def test_states_are_fit_for_training(encoder: MiniLMTextEncoder) -> None:
    state = encoder.encode(PROMPTS[:1])[0]
    assert not state.requires_grad and not state.is_inference()
    (state @ torch.ones(384, 1, requires_grad=True)).sum().backward()


def change_weights(folder: Path, key: str, value: torch.Tensor | None) -> None:
    path = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    tensors.pop(key, None)
    save_file(tensors if value is None else tensors | {key: value}, path)


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_that_does_not_fit_is_refused_in_one_line(tiny: Path, tmp_path: Path) -> None:
    query = "encoder.layer.1.attention.self.query.weight"
    breaks = {
        "lacks_key": lambda folder: change_weights(folder, query, None),
        "extra_key": lambda folder: change_weights(folder, "encoder.layer.2.output.dense.bias", torch.zeros(32)),
        "other_shape": lambda folder: change_weights(folder, query, torch.zeros(32, 16)),
        "other_kind": lambda folder: change_config(folder, model_type="t5"),
        "lacks_size": lambda folder: change_config(folder, hidden_size=None),
        "other_size": lambda folder: change_config(folder, vocab_size=100),
        "truncated": lambda folder: (folder / "text_encoder" / "model.safetensors").write_bytes(b"\x08" * 1000),
        "no_config": lambda folder: (folder / "text_encoder" / "config.json").unlink(),
        "bad_config": lambda folder: (folder / "text_encoder" / "config.json").write_text("{"),
        "no_weights": lambda folder: (folder / "text_encoder" / "model.safetensors").unlink(),
        "no_tokenizer": lambda folder: (folder / "tokenizer" / "tokenizer.json").unlink(),
        "bad_tokenizer": lambda folder: (folder / "tokenizer" / "tokenizer.json").write_text("[]"),
    }
    for name, damage in breaks.items():
        folder = tmp_path / name
        for part in ("text_encoder", "tokenizer"):
            shutil.copytree(tiny / part, folder / part)
        damage(folder)
        with pytest.raises(BadWeights, match=str(folder)) as caught:
            MiniLMTextEncoder.load(folder)
        assert "\n" not in str(caught.value), name
