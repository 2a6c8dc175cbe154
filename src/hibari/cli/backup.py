"""`hibari backup`: a copy of what an installation cannot lose."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.cli.options import Home, new_app
from hibari.config import Settings

app = new_app()


@app.command(epilog="Keep it as private as the data folder: prompts, names and keys are in it.")
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, which is made.")],
    home: Home = None,
) -> int:
    """Copy database, secrets, held files and finished ones, while the service goes on. Models are not in it."""
    from hibari.serve.backup import back_up

    made = back_up(Settings.load(home=home), folder.expanduser())
    print(folder)
    own = "the database and " if made.database else ""
    print(f"hibari: {own}{made.files} files are in it.", file=sys.stderr)
    if not made.database:
        print("hibari: The database is Postgres: its copy is what pg_dump made before this.", file=sys.stderr)
    return 0
