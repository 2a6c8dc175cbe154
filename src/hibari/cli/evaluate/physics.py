"""`hibari evaluate physics`: what is hidden stays, what falls bounces, what is given is kept, what is left is left."""

from enum import StrEnum
from typing import Annotated

import typer

from hibari.cli.counting import Counter
from hibari.cli.evaluate.options import Guidance, JudgesFolder, Output, Pack, Steps, sprites_of
from hibari.cli.evaluate.results import check_output, finish
from hibari.cli.options import Device, Dtype, Fast, Home, Model, new_app
from hibari.config import Settings

app = new_app()


class Only(StrEnum):
    """The measures by their names on the command line."""

    PERMANENCE = "permanence"
    BOUNCES = "bounces"
    RELATION = "relation"
    START_IMAGE = "start-image"


@app.command()
def physics(
    model: Model = None,
    count: Annotated[int, typer.Option("-n", help="How many clips of each measure.", min=2, max=100_000)] = 100,
    only: Annotated[list[Only] | None, typer.Option(help="This measure alone; may be given again.")] = None,
    steps: Steps = None,
    guidance: Guidance = None,
    fast: Fast = None,
    judges: JudgesFolder = None,
    pack: Pack = None,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """Permanence, bounces, two things' relation and a start image kept, on held-out scenes, seeds in order.

    Beside each stand its target, and what the judge says of real and of spoiled clips.
    """
    settings = Settings.load(home=home, device=device, dtype=dtype)
    check_output(output)
    from hibari.evaluate.judges import SHIPPED, Judges
    from hibari.evaluate.makers import load_generator, revision_of, world_of
    from hibari.evaluate.physics import measure as measuring

    generator = load_generator(settings, model or "")
    world, panel = world_of(generator.model, sprites_of(pack)), Judges.load(judges or SHIPPED)
    panel.require(objects=world.vocabulary.objects)
    way = measuring.Way(steps=steps, guidance=guidance, fast=fast, on_clip=Counter())
    result = measuring.measure(generator, panel, world, count, way, [each.value for each in only or Only])
    revision = revision_of(generator, steps=steps, guidance=guidance, fast=fast)
    facts = {"model": generator.model.name, "revision": revision, "dtype": str(generator.dtype)}
    return finish(facts | result, output, measuring.physics_table)
