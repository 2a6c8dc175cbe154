"""`hibari evaluate vae`: how well a model's VAE rebuilds what it has never seen."""

from typing import Annotated

import typer

from hibari.cli.evaluate.options import JudgesFolder, Output, Pack, panel_of, sprites_of
from hibari.cli.evaluate.results import check_output, finish
from hibari.cli.options import Device, Dtype, Home, Model, new_app
from hibari.config import Settings

app = new_app()


@app.command()
def vae(
    model: Model = None,
    count: Annotated[int, typer.Option("-n", help="Clips of each size.", min=1, max=10_000)] = 8,
    judged: Annotated[int, typer.Option(help="Rebuilt clips of the default size to judge.", min=1, max=10_000)] = 50,
    judges: JudgesFolder = None,
    pack: Pack = None,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """PSNR of held-out clips and pictures through the VAE at every render size, and what judges see in them.

    The judges' share on rebuilt clips is the most that a transformer on this VAE can reach.
    """
    settings = Settings.load(home=home, device=device, dtype=dtype)
    check_output(output)
    from hibari import catalog
    from hibari.evaluate import reconstruction, report
    from hibari.evaluate.makers import world_of
    from hibari.evaluate.prompts import plain_world
    from hibari.machine import pick_device, pick_dtype
    from hibari.model.weights import load_vae

    found = catalog.find(model or settings.model, settings)
    place = pick_device(settings.device)
    coder = load_vae(found.places["vae"], place, pick_dtype(settings.dtype, place))
    world = plain_world(world_of(found, sprites_of(pack)))
    panel = panel_of(judges, world)
    result = reconstruction.measure_vae(coder, world, [(size.width, size.height) for size in found.card.sizes], count)
    result |= {"model": found.name, "revision": found.revision}
    result["judged"] = reconstruction.ceiling(coder, panel, world, judged)
    return finish(result, output, report.vae_table)
