"""Options that several verbs share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option(help="Data folder; the platform's own by default.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def new_app() -> typer.Typer:
    """A verb's typer application: no completion flags, errors left to `hibari.cli`."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)
