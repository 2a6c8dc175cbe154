"""`hibari ledger`: what was made here, and a person's rights to what is kept of it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hibari.cli.options import Home, Json, new_app
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.media.files import beside, check_writable
from hibari.provenance.ids import GenerationId
from hibari.serve.journal import plain

if TYPE_CHECKING:
    from hibari.provenance.ledger import Entry, Ledger

app = new_app()
User = Annotated[str, typer.Argument(help="Whose data, as `hibari ledger list` names them.")]


@app.callback()
def ledger() -> None:
    """What was made here: list it, look at one, export or erase a user's data."""


@app.command("list")
def list_entries(
    user: Annotated[str | None, typer.Option(help="Of this user alone.")] = None,
    limit: Annotated[int, typer.Option(help="How many, the newest first.")] = 20,
    before: Annotated[str | None, typer.Option(help="The id that the page before ended with.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Thumbnails and sheets too, which show others.")] = False,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """The newest generations."""
    last = GenerationId.parse(before) if before is not None else None
    for entry in _open(home).list(user=user, limit=limit, before=last, composed=every):
        print(json.dumps(entry.as_dict()) if as_json else _line(entry))
    return 0


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="An id such as hbr_7zk2m4q0xd.", metavar="ID")],
    home: Home = None,
) -> int:
    """Everything that is recorded of one generation, as JSON."""
    ledger, wanted = _open(home), GenerationId.parse(id)
    entry = ledger.find(wanted)
    if entry is None:
        raise InvalidRequest(f"{wanted} is not recorded here.", option="id", hint="`hibari ledger list` shows what is.")
    replays = [str(one) for one in ledger.replays_of(wanted)]
    print(json.dumps(entry.as_dict() | {"replays": replays}, indent=2))
    return 0


@app.command()
def export(
    user: User,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; standard output without it.")
    ] = None,
    home: Home = None,
) -> int:
    """All that is kept of a user, as one JSON document."""
    from hibari.produce.unfinished import kept_of

    kept = {"unfinished": kept_of(Settings.load(home=home).home, user)}
    document = json.dumps(_open(home).export(user) | kept, indent=2)
    if output is None:
        print(document)
        return 0
    check_writable(output)
    with beside(output, private=True) as partial:
        partial.write_text(document + "\n", encoding="utf-8")
    print(output)
    return 0


@app.command()
def erase(
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: there is no way back.")] = False,
    home: Home = None,
) -> int:
    """Erase a user's prompts, requests, names, fingerprints, held files and videos that were never finished.

    What the service keeps of them goes too: account, keys, videos, characters, webhooks. Marks stay verifiable; files
    that were handed over are not touched.
    """
    if not yes:
        raise InvalidRequest("erasing cannot be undone.", option="yes", hint="Add --yes to do it.")
    from hibari.produce import unfinished
    from hibari.provenance.ledger import HeldFiles
    from hibari.store.blobs import open_blobs

    settings = Settings.load(home=home)
    ledger, files, blobs = _open(home), HeldFiles(settings.home), open_blobs(settings)
    done = ledger.erase(user)
    latents = unfinished.erase(settings.home, user, ledger)
    deleted = latents + files.remove(done.files) + files.tidy(ledger) + sum(map(blobs.clear, done.owners))
    print(json.dumps(done.as_dict() | {"files_deleted": deleted}))
    if not done.scrubbed:
        print(f"hibari: {_traces(settings)}", file=sys.stderr)
    if done.is_empty and not latents:
        print(f"hibari: nothing is kept of {plain(user)}; `hibari ledger list` names users.", file=sys.stderr)
        return 1
    what = (
        f"{len(done.generations)} generations, {done.videos} videos, {done.held_items} held items and {deleted} files"
    )
    print(f"hibari: {plain(user)} is erased from {what}; marks stay verifiable.", file=sys.stderr)
    return 0


def _traces(settings: Settings) -> str:
    """What is left to do where erased rows can still be read out of the database's files."""
    from hibari.provenance.places import ledger_url

    if isinstance(ledger_url(settings), Path):
        again = "Stop it, or wait for it, and run this command again."
        return f"erased, but traces stay on the disk while another process reads the ledger. {again}"
    return "erased; the server overwrites the traces in its own time, or now where you run VACUUM."


def _open(home: Path | None) -> "Ledger":
    from hibari.provenance.ledger import Ledger
    from hibari.provenance.places import INDEX, ledger_url
    from hibari.store import Store

    settings = Settings.load(home=home)
    return Ledger(Store.open(ledger_url(settings)), settings.ensure_home() / INDEX)


def _line(entry: "Entry") -> str:
    from hibari.provenance.ledger.ledger import COMPONENT

    asked = (entry.request or {}).get("prompt", "(erased)")
    who = plain(entry.user or "-")
    shown = [str(source.own_id) for source in entry.sources if source.relationship == COMPONENT]
    if shown:
        asked = f"shows {', '.join(shown)}: {asked}"
    return f"{entry.id}  {entry.created_at:%Y-%m-%d %H:%M}  {entry.state:9}  {who:12}  {plain(asked)}"
