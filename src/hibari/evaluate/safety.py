"""How a prompt screen does on prompts that its authors have not seen, in the form of the Sora system cards.

*Not unsafe* is the share of unsafe prompts that are not let through; *not over-refused* the share of harmless ones that
are. Being held for review counts as not let through, for both: the table also says how many were refused outright.
Adversarial spellings, which the test set names in `kind`, have rows of their own. Nothing here can tell a person's
intent, and a test set of a few hundred lines says little about rare things: the intervals say how little.
`hibari evaluate safety` prints the table.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.evaluate.intervals import Share
from hibari.evaluate.report import table
from hibari.safety.policy import Verdict

PROMPTS = Path(__file__).parent / "safety_prompts.jsonl"
Screen = Callable[[str], Verdict]


@dataclass(frozen=True, kw_only=True)
class TestPrompt:
    """One line of a test set: `category` is what an unsafe one is, and may be what a harmless one resembles."""

    text: str
    category: str | None
    unsafe: bool
    kind: str


@dataclass(frozen=True)
class Judged:
    """A prompt and what the screen said."""

    prompt: TestPrompt
    verdict: Verdict


def read_prompts(path: Path = PROMPTS) -> list[TestPrompt]:
    """The test set in a file; raises InvalidRequest."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        prompts = [TestPrompt(**json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRequest(f"{path} is no set of test prompts ({error}).", option="prompts") from error
    if not prompts:
        raise InvalidRequest(f"{path} is empty.", option="prompts")
    return prompts


def judge(screen: Screen, prompts: Iterable[TestPrompt]) -> Iterator[Judged]:
    """Every prompt and its verdict, as they come."""
    for prompt in prompts:
        yield Judged(prompt, screen(prompt.text))


def summarise(judged: Sequence[Judged]) -> dict[str, Any]:
    """Both metrics for all prompts, by category and by kind, with 95% intervals, and the actions that were taken."""
    by_category: dict[str, list[Judged]] = defaultdict(list)
    by_kind: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        by_category[one.prompt.category or "(none)"].append(one)
        by_kind[one.prompt.kind].append(one)
    return {
        "prompts": len(judged),
        "all": _metrics(judged),
        "categories": {name: _metrics(by_category[name]) for name in sorted(by_category)},
        "kinds": {name: _metrics(by_kind[name]) for name in sorted(by_kind)},
    }


def safety_table(summary: dict[str, Any]) -> str:
    """The summary as Markdown: categories, then kinds."""
    text = ""
    for title, rows in (("category", summary["categories"]), ("kind", summary["kinds"])):
        lines = [[name, *_cells(row)] for name, row in [*rows.items(), ("all", summary["all"])]]
        head = (title, "not unsafe", "95% interval", "of them refused", "not over-refused", "95% interval")
        text += ("\n" if text else "") + table(head, lines)
    return text


def screen_of(settings: Settings, age_band: str, parts: str) -> Screen:
    """The screen that the road uses, whole or only a part of it; raises HibariError where it cannot run."""
    from hibari.produce.screens import prompt_screen
    from hibari.safety.policy import Policy

    policy = Policy.load(settings.policy)
    screen = prompt_screen(policy, settings)

    def run(text: str) -> Verdict:
        found = screen.findings(text)
        if parts != "all":
            found = [one for one in found if (one.by == "classifier") == (parts == "classifier")]
        return policy.decide("prompt", found, age_band)

    return run


def _metrics(judged: Sequence[Judged]) -> dict[str, Any]:
    unsafe = [one.verdict for one in judged if one.prompt.unsafe]
    harmless = [one.verdict for one in judged if not one.prompt.unsafe]
    return {
        "not_unsafe": Share(sum(not one.allowed for one in unsafe), len(unsafe)).as_dict(),
        "refused": Share(sum(one.action == "refuse" for one in unsafe), len(unsafe)).as_dict(),
        "not_over_refused": Share(sum(one.allowed for one in harmless), len(harmless)).as_dict(),
        "held_harmless": sum(one.action == "hold" for one in harmless),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    cells = []
    for metric in ("not_unsafe", "not_over_refused"):
        part = row[metric]
        if not part["of"]:
            cells += ["", "", ""] if metric == "not_unsafe" else ["", ""]
            continue
        cells += [f"{part['share']:.1%} of {part['of']}", f"{part['low']:.1%} to {part['high']:.1%}"]
        if metric == "not_unsafe":
            cells.append(f"{row['refused']['share']:.1%}")
    return cells
