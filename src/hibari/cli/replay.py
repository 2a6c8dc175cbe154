"""`hibari replay`: the same frames again, from what the ledger remembers."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.cli.generate import closing_line
from hibari.cli.options import Home, Json, new_app
from hibari.cli.progress import watcher
from hibari.config import Settings
from hibari.produce import Hibari
from hibari.provenance.ids import GenerationId

app = new_app()


@app.command()
def replay(
    id: Annotated[str, typer.Argument(help="The id of a generation made here.", metavar="ID")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to make.")] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Make a generation again, bit for bit before marking; exit code 1 where the frames differ."""
    hibari = Hibari(Settings.load(home=home))
    wanted = GenerationId.parse(id)
    with watcher(str(wanted)) as on_progress:
        replayed = hibari.replay(wanted, output=output, on_progress=on_progress)
    print(json.dumps(replayed.record.as_dict()) if as_json else replayed.record.path)
    print(closing_line(replayed.record), file=sys.stderr)
    same = "the same frames, bit for bit" if replayed.same else f"other frames: {replayed.why}"
    print(f"hibari: {same}", file=sys.stderr)
    return 0 if replayed.same else 1
