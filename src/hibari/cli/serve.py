"""`hibari serve`: the Videos API and its workers on this machine."""

from typing import Annotated

import typer

from hibari.cli.options import Home, new_app
from hibari.config import Settings

app = new_app()


@app.command(epilog="Point a client's base_url at the address that is shown; the first start shows an admin key.")
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is all of this machine's.", metavar="HOST")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen at; 0 takes a free one.", metavar="N", min=0, max=65535)
    ] = 8000,
    workers: Annotated[
        int, typer.Option(help="Workers here; 0 where others `hibari work`.", metavar="N", min=0, max=64)
    ] = 1,
    device: Annotated[str | None, typer.Option(help="The workers' device: auto, cpu, cuda, cuda:N or mps.")] = None,
    home: Home = None,
) -> int:
    """Serve the Videos API: change base_url, and Sora code runs here."""
    from hibari.serve import supervisor

    supervisor.serve(Settings.load(home=home, device=device), host=host, port=port, workers=workers)
    return 0
