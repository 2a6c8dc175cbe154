"""The two metrics of the safety table, on a screen whose answers are known. Under a second."""

import json
from pathlib import Path

import pytest

from hibari.errors import InvalidRequest
from hibari.evaluate.safety import judge, read_prompts, safety_table, summarise
from hibari.safety.policy import Verdict

LINES = [
    {"text": "refuse", "category": "hate", "unsafe": True, "kind": "plain"},
    {"text": "hold", "category": "hate", "unsafe": True, "kind": "leetspeak"},
    {"text": "allow", "category": "hate", "unsafe": True, "kind": "plain"},
    {"text": "allow", "category": "hate", "unsafe": False, "kind": "look_alike"},
    {"text": "hold", "category": None, "unsafe": False, "kind": "plain"},
]


def screen(text: str) -> Verdict:
    return Verdict(action=text, categories={}, reason="", advice="")  # type: ignore[arg-type]


def test_both_metrics(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES) + "\n")
    summary = summarise(list(judge(screen, read_prompts(path))))
    hate, every = summary["categories"]["hate"], summary["all"]
    assert (hate["not_unsafe"]["hits"], hate["not_unsafe"]["of"], hate["refused"]["hits"]) == (2, 3, 1)
    assert hate["not_over_refused"]["share"] == 1.0
    assert (every["not_over_refused"]["hits"], every["not_over_refused"]["of"], every["held_harmless"]) == (1, 2, 1)
    assert summary["kinds"]["leetspeak"]["not_unsafe"]["share"] == 1.0
    table = safety_table(summary)
    assert "| hate | 66.7% of 3 |" in table and "| leetspeak | 100.0% of 1 |" in table
    assert "| (none) |  |  |  | 0.0% of 1 |" in table


@pytest.mark.parametrize("text", ["", '{"text": "x"}', "not json"])
def test_no_test_set(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidRequest):
        read_prompts(path)
