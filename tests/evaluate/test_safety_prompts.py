"""The prompts that the prompt filter is measured with are well formed, balanced and distinct. Well under a second."""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

import hibari.evaluate

PATH = Path(hibari.evaluate.__file__).with_name("safety_prompts.jsonl")
CATEGORIES = (
    "violent_crimes",
    "nonviolent_crimes",
    "sex_related_crimes",
    "indiscriminate_weapons",
    "suicide_self_harm",
    "hate",
    "specialized_advice",
    "privacy",
    "intellectual_property",
    "defamation",
    "sexual_content",
    "graphic_violence",
    "extremism",
    "real_person_likeness",
    "minor_depicted",
    "deceptive_elections",
)  # child_sexual_exploitation has no examples, ever
KINDS = ("plain", "look_alike", "leetspeak", "spacing", "homoglyph", "other_language", "indirect")
SEXUAL = ("sexual_content", "sex_related_crimes")
MINORS = re.compile(
    r"\b(child(ren)?|kids?|boys?|girls?|teens?|teenagers?|minors?|toddlers?|bab(y|ies)|infants?|preteens?|underage|young"
    r"|youths?|school\w*|pupils?|student|daughters?|sons?|nieces?|nephews?|kinder|mädchen|enfants?|niñ[oa]s?|bambin[oi]"
    r"|crianças?|çocuk\w*)\b|дет[ией]|девочк|мальчик|孩|少女|少年|子供|طفل|أطفال|बच्च",
    re.IGNORECASE,
)
ROWS = [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]


def folded(text: str) -> str:
    """Letters and digits alone, so that case, spaces and signs make no new prompt."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text).casefold())


def test_each_line_has_the_four_fields_and_nothing_else() -> None:
    for row in ROWS:
        assert list(row) == ["text", "category", "unsafe", "kind"], row
        assert isinstance(row["text"], str) and row["text"] == row["text"].strip() and 5 <= len(row["text"]) <= 500, row
        assert row["category"] is None or row["category"] in CATEGORIES, row
        assert isinstance(row["unsafe"], bool) and row["kind"] in KINDS, row


def test_what_is_unsafe_has_a_category_and_what_looks_alike_is_benign() -> None:
    for row in ROWS:
        assert row["category"] is not None or not row["unsafe"], row
        if row["kind"] == "look_alike":
            assert row["category"] is not None and not row["unsafe"], row


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_has_twenty_of_each(category: str) -> None:
    kinds = Counter((row["kind"], row["unsafe"]) for row in ROWS if row["category"] == category)
    assert kinds["plain", True] >= 20 and kinds["look_alike", False] >= 20


def test_there_are_ordinary_prompts_and_every_spelling() -> None:
    kinds = Counter((row["kind"], row["unsafe"]) for row in ROWS)
    assert len(ROWS) >= 900
    assert sum(row["kind"] == "plain" and row["category"] is None for row in ROWS) >= 120
    for kind in ("leetspeak", "spacing", "homoglyph", "indirect"):
        assert kinds[kind, True] >= 12, kind
        assert kinds[kind, False] >= 4, f"{kind}: odd spelling alone is no offence, and the set has to show it"
        assert len({row["category"] for row in ROWS if row["kind"] == kind and row["unsafe"]}) >= 8, kind
    assert kinds["other_language", True] >= 60 and kinds["other_language", False] >= 50


def test_spellings_are_what_they_say() -> None:
    for row in ROWS:
        if row["kind"] == "leetspeak":
            assert re.search(r"[a-z]\d|\d[a-z]", row["text"]), row
        if row["kind"] == "homoglyph":
            assert not row["text"].isascii(), row
        if row["kind"] in ("plain", "look_alike", "indirect"):
            letters = (unicodedata.name(sign) for sign in row["text"] if sign.isalpha())
            assert all(name.startswith("LATIN") for name in letters), row


@pytest.mark.parametrize("script", ["LATIN", "CYRILLIC", "CJK UNIFIED", "HIRAGANA", "ARABIC", "DEVANAGARI"])
def test_other_languages_come_in_their_own_scripts(script: str) -> None:
    in_script = [
        row["unsafe"]
        for row in ROWS
        if row["kind"] == "other_language"
        and any(unicodedata.name(sign, "").startswith(script) for sign in row["text"])
    ]
    assert in_script.count(True) >= 3 and in_script.count(False) >= 3


def test_no_prompt_comes_twice() -> None:
    assert [text for text, count in Counter(folded(row["text"]) for row in ROWS).items() if count > 1] == []


def test_prompts_follow_no_template() -> None:
    """Few begin alike, and lengths differ as those of real people's prompts do."""
    beginnings = Counter(" ".join(row["text"].casefold().split()[:3]) for row in ROWS)
    assert [words for words, count in beginnings.items() if count > 4] == []
    lengths = sorted(len(row["text"]) for row in ROWS)
    assert lengths[len(lengths) // 10] < 30 and lengths[-len(lengths) // 50] > 180


def test_nothing_sexual_names_a_minor() -> None:
    """Such examples are never written, not even as what has to be refused."""
    assert [row for row in ROWS if row["category"] in SEXUAL and MINORS.search(row["text"])] == []
