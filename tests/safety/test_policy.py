"""The policy file: read strictly, decides the strictest, never loosens what is not the operator's. Under a second."""

from pathlib import Path

import pytest

from hibari.errors import Refused
from hibari.safety.categories import CATEGORIES, LLAMA_GUARD_CODES, OPENAI_NAMES, QWEN_NAMES, openai_scores
from hibari.safety.policy import AGE_BANDS, HARD, SHIPPED, Finding, Policy, strictest


def finding(category: str, score: float) -> Finding:
    return Finding(category=category, score=score, by="test", why=f"it is about {category}")


def written(folder: Path, old: str, new: str) -> Path:
    text = SHIPPED.read_text(encoding="utf-8")
    assert text.count(old) >= 1, old
    path = folder / "policy.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_every_alias_leads_to_a_category() -> None:
    named = {*LLAMA_GUARD_CODES.values(), *QWEN_NAMES.values(), *(id for ids in OPENAI_NAMES.values() for id in ids)}
    assert named <= set(CATEGORIES) and len(OPENAI_NAMES) == 13
    assert openai_scores({"graphic_violence": 0.7})["violence/graphic"] == 0.7
    assert openai_scores({HARD: 1.0})["sexual/minors"] == 1.0


def test_the_shipped_policy_is_stricter_for_the_young() -> None:
    policy = Policy.load()
    for surface, category, band in policy.limits:
        assert category in CATEGORIES and band in AGE_BANDS
        adult, teen = (policy.limits[surface, category, band] for band in ("adult", "teen"))
        assert (teen.hold or 1.1) <= (adult.hold or 1.1) and (teen.refuse or 1.1) <= (adult.refuse or 1.1)


def test_actions_reasons_and_advice() -> None:
    policy = Policy.load()
    assert policy.decide("prompt", [finding("hate", 0.1)]).action == "allow"
    held = policy.decide("prompt", [finding("hate", 0.7)])
    assert held.action == "hold" and "hate" in held.reason and held.advice
    both = policy.decide("prompt", [finding("hate", 0.7), finding("violent_crimes", 0.95)])
    assert both.action == "refuse" and "violent crime" in both.reason and "it is about violent_crimes" in both.reason
    assert both.categories == {"hate": 0.7, "violent_crimes": 0.95}
    assert both.as_dict()["findings"][0]["score"] == 0.95
    assert policy.decide("prompt", [finding("sexual_content", 0.4)], "teen").action == "hold"
    assert strictest([held, both]) is both
    assert (held.category, both.category) == ("hate", "violent_crimes")
    assert policy.decide("prompt", []).category == ""


def test_sexual_content_with_minors_overrules_every_other_reason() -> None:
    verdict = Policy.load().decide("prompt", [finding("hate", 1.0), finding(HARD, 1.0)])
    assert verdict.action == "refuse" and "minors" in verdict.reason and "hate" not in verdict.reason


def test_an_unknown_age_band_is_no_age_band() -> None:
    with pytest.raises(Refused, match="age band"):
        Policy.load().decide("prompt", [finding("hate", 1.0)], "grown-up")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("format = 1", "format = 2", "format"),
        ("adult = { refuse = 0.3 }", "adult = { hold = 0.3 }", HARD),
        ("adult = { refuse = 0.3 }", "adult = { refuse = 0.9 }", HARD),
        ("[prompt.hate]", "[prompt.rudeness]", "rudeness"),
        ("adult = { hold = 0.6, refuse = 0.85 }", "adult = { hold = 2 }", "scores"),
        ("adult = { hold = 0.6, refuse = 0.85 }", "", "age bands"),
        ('minors_without_guardian = "refuse"', 'minors_without_guardian = "allow"', "must not allow"),
        ('unread_language = "hold"', 'unread_language = "shrug"', "unread_language"),
        ('name = "hibari-default"', 'name = "x"\nloose = true', "loose"),
        ("format = 1", "format = ", "cannot be read"),
    ],
)
def test_a_policy_that_does_not_hold_is_not_read(tmp_path: Path, old: str, new: str, what: str) -> None:
    with pytest.raises(Refused, match=what):
        Policy.load(written(tmp_path, old, new))


def test_a_missing_policy_refuses(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        Policy.load(tmp_path / "none.toml")
