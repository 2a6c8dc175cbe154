"""Results as Markdown, for a model card."""

from collections.abc import Mapping, Sequence
from typing import Any

from hibari.evaluate.following import ASPECTS


def following_table(summary: Mapping[str, Any]) -> str:
    """Prompt following: one row for each aspect, then one for each class."""
    text = _aspects_table(summary)
    classes = [
        [aspect, name, _percent(part["share"]), _interval(part), str(part["of"])]
        for aspect in ASPECTS
        for name, part in summary[aspect]["classes"].items()
    ]
    return f"{text}\n{table(('aspect', 'class', 'right', '95% interval', 'clips'), classes)}"


def _aspects_table(summary: Mapping[str, Any]) -> str:
    rows = [
        [aspect, _percent(part["share"]), _interval(part), _percent(part["chance"]), str(part["of"])]
        for aspect, part in ((aspect, summary[aspect]) for aspect in ASPECTS)
    ]
    every = summary["all three"]
    rows.append(["all three", _percent(every["share"]), _interval(every), "", str(every["of"])])
    return table(("asked for", "right", "95% interval", "shuffled prompts", "clips"), rows)


def judges_table(card: Mapping[str, Any]) -> str:
    """The judges' own scores."""
    rows = [
        [
            f"right {aspect}, real held-out clips",
            _percent(card["real"][aspect]["share"]),
            _interval(card["real"][aspect]),
        ]
        for aspect in ASPECTS
    ]
    rows += [[f"right {aspect}, shuffled prompts", _percent(card["shuffled"][aspect]), ""] for aspect in ASPECTS]
    rows += [[f"rejected: {name}", _percent(part["share"]), _interval(part)] for name, part in card["rejected"].items()]
    return table(("judges", "share", "95% interval"), rows)


def vae_table(result: Mapping[str, Any]) -> str:
    """PSNR by size, and what judges see in rebuilt clips where that was asked."""
    rows = [[size, *_decibels(row)] for size, row in result["sizes"].items()]
    text = table(("size", "clips, dB", "worst clip, dB", "pictures, dB"), [*rows, ["all", *_decibels(result)]])
    return f"{text}\n{_aspects_table(result['judged'])}" if "judged" in result else text


def scaling_table(result: Mapping[str, Any]) -> str:
    """Held-out loss by level, and what is followed of prompts where that was asked, a row for each compute."""
    rows = result["points"]
    levels, asked = list(rows[0]["loss"]), "following" in rows[0]
    head = ["compute", "FLOPs", "steps", *(f"loss at {level}" for level in levels), "mean"]
    lines = []
    for row in rows:
        step = "" if row["step"] is None else f"{row['step']:,}"
        losses = [f"{loss:.3f}" for loss in (*row["loss"].values(), row["mean"])]
        follows = [_percent(row["following"][aspect]["share"]) for aspect in ASPECTS] if asked else []
        lines.append([row["times"], f"{row['flops']:.2e}".replace("e+", "e"), step, *losses, *follows])
    text = table([*head, *(f"right {aspect}" for aspect in ASPECTS if asked)], lines)
    return "\n".join([text, *result["notes"], ""])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _decibels(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['clips']['mean']:.1f}", f"{row['clips']['lowest']:.1f}", f"{row['pictures']['mean']:.1f}"]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _interval(part: Mapping[str, Any]) -> str:
    return f"{_percent(part['low'])} to {_percent(part['high'])}"
