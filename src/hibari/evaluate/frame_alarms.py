"""How often the frame screen stops what a model makes of harmless prompts: false alarms, and what they cost its users.

The prompts are those of the model's own world, which hold nothing that a screen should stop; so whatever is held or
refused is an alarm for nothing. Frames are looked at as the door looks at them, at the delivered size, those on the
sheet of stills too. What a screen misses cannot be measured here: that takes unsafe pictures, and there are none. No
file comes of it. `hibari evaluate frames` prints the table.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hibari.evaluate.intervals import Share
from hibari.evaluate.prompts import RENDERED
from hibari.evaluate.report import table
from hibari.safety.frames import FrameScreen
from hibari.safety.policy import Limits, Policy
from hibari.worlds import World

MakeFrames = Callable[[int, str], np.ndarray]
"""From a seed and a prompt to the delivered frames `(T, H, W, 3)` uint8 that the door looks at."""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One clip: what was asked for, its highest scores, and what the policy does with it."""

    seed: int
    prompt: str
    action: str
    categories: dict[str, float]


def look(make: MakeFrames, screen: FrameScreen, world: World, seeds: Iterable[int]) -> Iterator[Looked]:
    """Make a clip for the prompt of each seed's scene, from the same seed, and screen it."""
    for seed in seeds:
        prompt = world.scene(seed, RENDERED).caption
        verdict = screen.screen(make(seed, prompt))
        scores = {name: round(score, 4) for name, score in verdict.categories.items()}
        yield Looked(seed=seed, prompt=prompt, action=verdict.action, categories=scores)


def summarise(clips: Sequence[Looked], policy: Policy) -> dict[str, Any]:
    """The share of clips held and refused with 95% intervals, by category, the highest scores, and every clip."""
    by_category: dict[str, Counter[str]] = {}
    for clip in clips:
        for category, score in clip.categories.items():
            limits = policy.limits.get(("frames", category, "adult"), Limits())
            action = limits.action(score)
            by_category.setdefault(category, Counter())[action] += 1
    return {
        "clips": len(clips),
        "held": Share(sum(clip.action == "hold" for clip in clips), len(clips)).as_dict(),
        "refused": Share(sum(clip.action == "refuse" for clip in clips), len(clips)).as_dict(),
        "categories": {
            name: {action: Share(counted[action], len(clips)).as_dict() for action in ("hold", "refuse")}
            | {"highest": round(max(clip.categories[name] for clip in clips), 4)}
            for name, counted in sorted(by_category.items())
        },
        "answers": [asdict(clip) for clip in clips],
    }


def alarms_table(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    rows = []
    for name, row in summary["categories"].items():
        cells = []
        for action in ("hold", "refuse"):
            part = row[action]
            cells.append(f"{part['hits']} of {part['of']} ({part['low']:.1%} to {part['high']:.1%})")
        rows.append([name, *cells, f"{row['highest']:.2f}"])
    return table(("category", "held (95% interval)", "refused (95% interval)", "highest score"), rows)
