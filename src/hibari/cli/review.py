"""`hibari review`: what the safety policy held, and a reviewer's yes or no to it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hibari.cli.generate import closing_line
from hibari.cli.options import Home, Json, new_app
from hibari.cli.progress import watcher
from hibari.config import Settings
from hibari.provenance.ids import GenerationId
from hibari.serve.journal import plain

if TYPE_CHECKING:
    from hibari.produce.review import ReviewDesk
    from hibari.provenance.ledger import HeldItem

app = new_app()
Id = Annotated[str, typer.Argument(help="The id that it waits as.", metavar="ID")]
Note = Annotated[str, typer.Option(help="Why: it is kept with the decision.", metavar="TEXT")]
SHOWN = 48  # characters of a prompt in a line


@app.callback()
def review() -> None:
    """What the safety policy held: list it, look at one, allow it or refuse it."""


@app.command("list")
def list_waiting(
    limit: Annotated[int, typer.Option(help="How many, the oldest first.", min=1, max=1000)] = 100,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """What waits for a reviewer, the oldest first."""
    items = _desk(home).waiting(limit)
    for item in items:
        print(json.dumps(item.as_dict()) if as_json else _line(item))
    if not items:
        print("hibari: nothing waits.", file=sys.stderr)
    return 0


@app.command()
def show(id: Id, as_json: Json = False, home: Home = None) -> int:
    """Everything that a reviewer needs to decide one item."""
    desk = _desk(home)
    item = desk.find(GenerationId.parse(id))
    if as_json:
        print(json.dumps(item.as_dict() | {"permission": vars(desk.permission(item))}, indent=2))
    else:
        print(_in_words(item, desk))
    return 0


@app.command()
def allow(
    id: Id,
    note: Note,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to make; the name that was asked for without it.")
    ] = None,
    home: Home = None,
) -> int:
    """Make the held request, or hand over the held file; its path is all that is on standard output.

    What a video of the service waits for goes back to that video, and a worker sees to the rest.
    """
    desk, wanted = _desk(home), GenerationId.parse(id)
    with watcher(str(wanted)) as on_progress:
        released = desk.allow(wanted, note, output=output, on_progress=on_progress)
    if released.path is not None:
        print(released.path)
    if released.record is not None:
        print(closing_line(released.record), file=sys.stderr)
    print(f"hibari: {_decision(released.item)}", file=sys.stderr)
    if released.item.video is not None:
        print(f"hibari: {released.item.video} goes on.", file=sys.stderr)
    return 0


@app.command()
def refuse(id: Id, note: Note, home: Home = None) -> int:
    """Turn an item down for good; a held file is deleted."""
    item = _desk(home).refuse(GenerationId.parse(id), note)
    print(f"hibari: {_decision(item)}", file=sys.stderr)
    return 0


def _desk(home: Path | None) -> "ReviewDesk":
    from hibari.produce.review import ReviewDesk

    return ReviewDesk(Settings.load(home=home))


def _line(item: "HeldItem") -> str:
    prompt = plain(item.request["prompt"])
    shown = prompt if len(prompt) <= SHOWN else prompt[: SHOWN - 1] + "…"
    worst = max(item.categories, key=item.categories.__getitem__, default="")
    return f"{item.id}  {item.created_at:%Y-%m-%d %H:%M}  {item.stage:6}  {worst:20}  {plain(item.user):12}  {shown}"


def _in_words(item: "HeldItem", desk: "ReviewDesk") -> str:
    asked = item.request
    size = f"{asked['size']}, {asked['seconds']:g} s" if asked["seconds"] else f"{asked['size']}, a picture"
    scores = sorted(item.categories.items(), key=lambda pair: -pair[1])
    facts = {
        "held at": f"{item.stage}, {item.created_at:%Y-%m-%d %H:%M} UTC",
        "asked by": item.user,
        "why": item.reason,
        "scores": ", ".join(f"{name} {score:.2f}" for name, score in scores),
        "prompt": asked["prompt"],
        "keeps out": asked["negative"],
        **(_files(asked) if item.video is None else {"video": item.video}),
        "shows": asked["consent"] or "",
        "to be made": f"{size}, by {asked['model']}",
        "made file": desk.file_of(item),
        "decision": _decision(item) if item.state != "waiting" else "",
    }
    if item.state == "waiting":
        permission = desk.permission(item)
        facts["you"] = f"{'may' if permission.granted else 'may not'} decide: {permission.reason}"
    lines = [f"  {name:12} {plain(text)}" for name, text in facts.items() if text]
    if item.state == "waiting":
        lines += ["", f"  hibari review allow {item.id} --note WHY", f"  hibari review refuse {item.id} --note WHY"]
    return "\n".join([str(item.id), *lines])


def _files(asked: dict[str, Any]) -> dict[str, str]:
    return {
        "start image": asked["image"] or "",
        "end image": asked.get("end_image") or "",
        "goes on from" if asked["extend"] else "redraws": asked["video"] or "",
        "refers to": ", ".join(asked["references"]),
    }


def _decision(item: "HeldItem") -> str:
    by = f" by {item.reviewer}" if item.reviewer else ""
    assert item.decided_at is not None
    return f"{item.id} {item.state}{by}, {item.decided_at:%Y-%m-%d %H:%M} UTC: {plain(item.decision_reason or '')}"
