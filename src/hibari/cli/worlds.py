"""`hibari worlds`: build the whole sprite pack, and look at clips with their captions."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.cli.options import Home, new_app
from hibari.config import Settings
from hibari.errors import InvalidRequest

app = new_app()
app.info.help = "Build and look at the world that hibari-mini learns from."


def pack_folder(settings: Settings) -> Path:
    """Where the whole sprite pack lies once it is built."""
    return settings.home / "sprites"


@app.command()
def build(
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder with the npm tarballs; without it they are downloaded.")
    ] = None,
    home: Home = None,
) -> int:
    """Build the whole sprite pack (thousands of sprites) from its npm packages, checksums verified."""
    from hibari.worlds.build import build_pack

    settings = Settings.load(home=home)
    settings.ensure_home()

    def show(done: int, name: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{done} sprites: {name}", end="", file=sys.stderr, flush=True)

    tarballs = settings.home / "downloads" if source is None else source
    pack = build_pack(tarballs, pack_folder(settings), download=source is None, on_progress=show)
    print(("\r\033[K" if sys.stderr.isatty() else "") + f"{len(pack.names)} sprites", file=sys.stderr)
    print(pack_folder(settings))
    return 0


@app.command()
def sheet(
    output: Annotated[Path, typer.Option("-o", "--output", help="Picture to make.")] = Path("worlds.png"),
    count: Annotated[int, typer.Option("-n", help="How many clips.", min=1, max=100)] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the first clip.", min=0)] = 0,
    whole: Annotated[bool, typer.Option("--whole", help="Draw from the whole pack that `build` made.")] = False,
    home: Home = None,
) -> int:
    """Render clips of the world, each over its caption, into one picture."""
    from hibari.worlds.sheet import save_sheet

    settings = Settings.load(home=home)
    pack = pack_folder(settings) if whole else None
    if pack is not None and not pack.is_dir():
        raise InvalidRequest("the whole pack is not built.", option="whole", hint="Build it: hibari worlds build.")
    save_sheet(output, pack, count=count, first_seed=seed)
    print(output)
    return 0
