"""Options that several verbs share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option(help="Data folder; the platform's own by default.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def new_app() -> typer.Typer:
    """A verb's typer application: no completion flags, errors left to `hibari.cli`."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def plain(text: str) -> str:
    """A person's text on one line, with nothing in it that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
