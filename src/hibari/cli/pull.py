"""`hibari pull`: bring a published model from the hub, or from a folder, into the data folder."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.catalog.hub import quieten
from hibari.catalog.licence import TEXTS
from hibari.catalog.published import LAYOUTS, Layout, published_model
from hibari.catalog.pull import Step, pull, take
from hibari.cli.options import Home, new_app
from hibari.config import Settings
from hibari.errors import InvalidRequest

app = new_app()


@app.command("pull")
def run_pull(
    name: Annotated[str, typer.Argument(help="A published model; `hibari models --known` lists them.")],
    form: Annotated[
        str | None, typer.Option(help="diffusers (unless told), or original: as its authors lay it.", metavar="FORM")
    ] = None,
    source: Annotated[Path | None, typer.Option("--from", help="Take it from this folder.", metavar="DIR")] = None,
    accept_licence: Annotated[
        str | None, typer.Option(help="Accept this licence, which asks for more than a notice.", metavar="LICENCE")
    ] = None,
    home: Home = None,
) -> int:
    """Bring a published model here, whole or not at all; the same command goes on where one was cut off."""
    settings, model = Settings.load(home=home), published_model(name)
    if source is None:
        if not sys.stderr.isatty():
            quieten()
        folder = pull(
            model, settings, layout=_layout(form), accepted=accept_licence, on_licence=_say_licence, on_step=_say_step
        )
    else:
        if form is not None:
            raise InvalidRequest("a folder has the form that it has.", option="form", hint="Leave out one of the two.")
        folder = take(
            model, source.expanduser(), settings, accepted=accept_licence, on_licence=_say_licence, on_step=_say_step
        )
    print(folder)
    return 0


def _layout(form: str | None) -> Layout:
    if form is None:
        return LAYOUTS[0]
    for layout in LAYOUTS:
        if form == layout:
            return layout
    raise InvalidRequest(f"{form!r} is not allowed.", option="form", hint=f"Allowed: {', '.join(LAYOUTS)}.")


def _say_licence(licence: str) -> None:
    text = TEXTS.get(licence.lower(), "")
    print(f"Licence: {licence}{f', {text}' if text else ''}", file=sys.stderr)


def _say_step(step: Step) -> None:
    print(f"[{step.number}/{step.count}] {step.path}, {step.bytes / 1e6:,.1f} MB", file=sys.stderr)
