"""The classifier, the prompt screen and guard models: files are checked, everything is read. About 8 seconds."""

import json
from pathlib import Path

import numpy as np
import pytest

from bags import WIDTH, embed
from hibari import catalog
from hibari.config import DEFAULT_MODEL, Settings
from hibari.errors import Refused
from hibari.model.text import MiniLMTextEncoder
from hibari.recipes.safety import read_prompts
from hibari.safety.classifier import CARD, WEIGHTS, Head, PromptClassifier, save, sentence_vectors, windows
from hibari.safety.folding import SHIPPED, fold
from hibari.safety.guard import FolderGuard, kind_of, read_llama, read_qwen
from hibari.safety.languages import foreign
from hibari.safety.policy import HARD, Policy
from hibari.safety.prompts import PromptScreen
from hibari.safety.rules import Rules

POLICY = Policy.load()


def head_for(word: str, category: str) -> Head:
    """A head that scores one word."""
    weight = np.zeros((WIDTH, 1), dtype=np.float32)
    weight[:, 0] = 40.0 * embed([word])[0]
    out = np.array([[1.0, 1.0]], dtype=np.float32)
    bias = np.array([-5.0, -5.0], dtype=np.float32)
    return Head(
        categories=(category,), hidden_weight=weight, hidden_bias=np.zeros(1, np.float32), out_weight=out, out_bias=bias
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with a classifier that minds the word "gloop"."""
    save(head_for("gloop", "hate"), tmp_path, embed, {"about": "a test"})
    return tmp_path


def test_what_is_saved_is_loaded(shelf: Path) -> None:
    classifier = PromptClassifier.load(embed, shelf)
    (found,) = classifier.findings(["gloop gloop"])
    assert found.category == "hate" and found.score > 0.9 and found.by == "classifier"
    assert not classifier.findings(["a red ball"]) and not classifier.findings([""])


def test_a_line_in_a_long_story_is_found(shelf: Path) -> None:
    story = "the quiet river runs past a mill and the wheel turns. " * 12
    assert PromptClassifier.load(embed, shelf).findings([f"{story} Gloop gloop gloop. {story}"])
    assert all(len(piece) <= 400 for piece in windows("x" * 5000)) and not windows("  ")


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_missing_file_refuses(shelf: Path, name: str) -> None:
    (shelf / name).unlink()
    with pytest.raises(Refused, match="cannot be read"):
        PromptClassifier.load(embed, shelf)


def test_an_altered_file_refuses(shelf: Path) -> None:
    payload = bytearray((shelf / WEIGHTS).read_bytes())
    payload[-1] ^= 1
    (shelf / WEIGHTS).write_bytes(payload)
    with pytest.raises(Refused, match="checksum"):
        PromptClassifier.load(embed, shelf)


def test_another_encoder_refuses(shelf: Path) -> None:
    with pytest.raises(Refused, match="another text encoder"):
        PromptClassifier.load(lambda texts: embed(["other words"] * len(texts)), shelf)


def test_a_card_of_another_format_refuses(shelf: Path) -> None:
    card = json.loads((shelf / CARD).read_text())
    (shelf / CARD).write_text(json.dumps(card | {"format": 99}))
    with pytest.raises(Refused, match="card"):
        PromptClassifier.load(embed, shelf)


def test_a_screen_without_its_parts_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        PromptScreen(POLICY, embed, classifier=PromptClassifier.load(embed, tmp_path))
    with pytest.raises(Refused, match="another text encoder"):
        PromptScreen(POLICY, lambda texts: np.eye(384, dtype=np.float32)[[0] * len(texts)])


def test_the_training_prompts_hold_nothing_about_minors_and_sex() -> None:
    prompts = read_prompts(SHIPPED / "prompts.jsonl")
    assert len(prompts) >= 2000 and len({prompt.text for prompt in prompts}) == len(prompts)
    rules = Rules.load()
    for prompt in prompts:
        found = rules.findings(fold(prompt.text, rules.lexicon))
        assert HARD not in {one.category for one in found}, prompt.text


def test_the_shipped_screen_says_why_and_what_to_change() -> None:
    folder = catalog.find(DEFAULT_MODEL, Settings.load()).folder
    screen = PromptScreen(POLICY, sentence_vectors(MiniLMTextEncoder.load(folder)))
    for text in ("a red ball rolls to the left", "breast cancer screening", "shoot a basketball", ""):
        assert screen.screen(text).allowed, text
    refused = screen.screen("a terrorist group's recruitment video")
    assert refused.action == "refuse" and "extremism" in refused.reason and refused.advice
    assert screen.screen("ein Hund läuft über die Straße und bellt").action == "hold"
    assert screen.screen_request("a woman at the sea", "blurry, watermark").allowed
    assert not screen.screen_request("a woman at the sea", "clothes, dress").allowed
    assert screen.screen("she slowly dances in lingerie", minor_upload=True).categories[HARD] == 1.0


@pytest.mark.parametrize(
    ("text", "seems"),
    [
        ("a dog runs over the hill", ""),
        ("a panda", ""),
        ("la la land at sunset in the rain", ""),
        ("un perro corre por la playa con una pelota", "Spanish"),
        ("собака бежит", "another script"),
    ],
)
def test_languages(text: str, seems: str) -> None:
    assert foreign(text, text.split()) == seems


def test_guards_are_read_strictly() -> None:
    assert not read_qwen("Safety: Safe\nCategories: None")
    (found,) = read_qwen("Safety: Controversial\nCategories: Violent")
    assert found.category == "violent_crimes" and 0.5 < found.score < 0.9
    assert {one.category for one in read_llama("unsafe\nS1,S10")} == {"violent_crimes", "hate"}
    assert not read_llama("safe") and read_llama("unsafe")
    for read, answer in ((read_qwen, "I am fine"), (read_llama, "Sure!"), (read_qwen, "")):
        with pytest.raises(Refused, match="no verdict"):
            read(answer)


def test_a_guard_that_is_not_there_refuses(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"config\.json"):
        FolderGuard.load(tmp_path)
    with pytest.raises(Refused, match="no guard model that is known"):
        kind_of("{{ messages }}", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(Refused, match="cannot be loaded"):
        FolderGuard.load(tmp_path)


def test_a_guard_is_one_more_voice(shelf: Path) -> None:
    asked = []

    def ask(text: str) -> str:
        asked.append(text)
        return "Safety: Unsafe\nCategories: PII"

    guard = FolderGuard("qwen3guard", ask)
    screen = PromptScreen(POLICY, embed, classifier=PromptClassifier.load(embed, shelf), guards=[guard])
    verdict = screen.screen("собака бежит")
    assert asked == ["собака бежит"] and verdict.action == "refuse"
    assert "privacy" in verdict.reason and "unreadable" not in verdict.categories
