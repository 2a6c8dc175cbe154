"""`hibari restore`: a backup becomes an installation again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.cli.options import Home, new_app
from hibari.config import Settings

app = new_app()


@app.command(epilog="`hibari doctor`, `hibari secrets list` and `hibari audit verify` then say whether all is whole.")
def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `hibari backup` made.")],
    home: Home = None,
) -> int:
    """Put a backup in place, in a data folder that has no database and no keys yet."""
    from hibari.serve.backup import restore as put_back

    settings = Settings.load(home=home)
    note = put_back(settings, folder.expanduser())
    print(f"hibari: {settings.home} is as it was at {note.at}; {note.files} files.", file=sys.stderr)
    return 0
