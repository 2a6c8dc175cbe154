"""`hibari cluster`: many workers for a service's queue, placed and restarted by Ray."""

from typing import Annotated

import typer

from hibari import catalog
from hibari.cli.options import Home, new_app
from hibari.config import Settings

app = new_app()


@app.command(epilog="It stays: Ctrl-C lets the workers finish what they make, or give it back.")
def cluster(
    workers: Annotated[int, typer.Option(help="How many, over all nodes.", min=1)],
    address: Annotated[str, typer.Option(help="The cluster's; auto is the one that this machine is in.")] = "auto",
    cpus: Annotated[float, typer.Option(help="Processor cores of each.", min=0)] = 1.0,
    gpus: Annotated[float, typer.Option(help="Accelerators of each; 0.5 lets two share one.", min=0)] = 0.0,
    model: Annotated[
        list[str] | None, typer.Option(help="Work for this model alone; may be given again. All that are there if not.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    home: Home = None,
) -> int:
    """Keep workers on the nodes of a Ray cluster: where a node dies, its workers are started again elsewhere."""
    from hibari.serve.cluster import Share, run_cluster
    from hibari.serve.journal import write_journal

    settings = Settings.load(home=home, device=device, model=model[0] if model else None)
    catalog.check_names(model or (), settings)
    write_journal(settings.service.log)
    run_cluster(settings, address=address, workers=workers, share=Share(cpus=cpus, gpus=gpus), models=model)
    return 0
