"""`hibari work`: one more worker for a service's queue."""

from typing import Annotated

import typer

from hibari import catalog
from hibari.cli.options import Home, new_app
from hibari.config import Settings

app = new_app()


@app.command(epilog="Ctrl-C lets it finish what it makes, or give it back.")
def work(
    model: Annotated[
        list[str] | None, typer.Option(help="Work for this model alone; may be given again. All that are here if not.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")] = None,
    home: Home = None,
) -> int:
    """Join a service's queue with a worker of this machine (HIBARI_DATABASE and HIBARI_FILES say which)."""
    from hibari.serve.journal import write_journal
    from hibari.serve.work import worker

    # The first model that is named is the one that is loaded while there is nothing to do.
    settings = Settings.load(home=home, device=device, dtype=dtype, model=model[0] if model else None)
    catalog.check_names(model or (), settings)
    for name in model or ():
        catalog.find(name, settings)
    write_journal(settings.service.log)
    worker.work(settings, stop=worker.stop_on_signals(), models=model)
    return 0
