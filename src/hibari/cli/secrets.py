"""`hibari secrets`: what marks and signs in this house, and whether this machine has it."""

from typing import Annotated

import typer

from hibari.cli.options import Home, new_app
from hibari.config import Settings

app = new_app()


@app.callback()
def about() -> None:
    """The house's watermark keys and signers: see which are here. Machines with others refuse to make anything."""


@app.command(name="list", epilog="Exit code 1: one of them is not here, or is another.")
def list_secrets(home: Home = None) -> int:
    """Each secret that the house's database knows by its digest, and whether this machine has it."""
    from hibari.provenance.house import house_of
    from hibari.provenance.places import ledger_url
    from hibari.store import Store

    settings = Settings.load(home=home)
    with Store.open(ledger_url(settings), migrate=False) as store:
        house = house_of(settings, store)
        here = {name: house.is_here(name, digest) for name, digest in house.noted().items()}
    for name, is_here in here.items():
        print(f"{name}  {'here' if is_here else 'not here, or another'}")
        if not is_here:
            print(f"  -> {house.advice(name)}")
    return 0 if all(here.values()) else 1


@app.command(epilog="The files that it marked or signed stay; what it proved of them is not proven any more.")
def forget(
    name: Annotated[str, typer.Argument(help='As `hibari secrets list` names it, such as "watermark 2026-11".')],
    yes: Annotated[
        bool, typer.Option("--yes", help="It is lost on every machine, or is to be trusted no more.")
    ] = False,
    home: Home = None,
) -> int:
    """Let the house go on without a secret that is lost or stolen. Where a machine still has it, copy it instead."""
    from hibari.errors import InvalidRequest
    from hibari.provenance.house import house_of
    from hibari.provenance.places import ledger_url
    from hibari.store import Store

    settings = Settings.load(home=home)
    with Store.open(ledger_url(settings), migrate=False) as store:
        house = house_of(settings, store)
        house.check_noted(name)
        if not yes:
            raise InvalidRequest("Nothing is forgotten without --yes.", option="yes", hint="Is no copy of it left?")
        house.forget(name)
    return 0
