"""`hibari evaluate people`: whom a model draws where the prompt does not say: gender and skin tone against uniform."""

from typing import Annotated, Any

import typer

from hibari.cli.counting import counted
from hibari.cli.evaluate.options import Count, Guidance, Output, Pack, Steps, sprites_of
from hibari.cli.evaluate.results import check_output, finish
from hibari.cli.options import Device, Dtype, Fast, Home, Model, new_app
from hibari.config import Settings

app = new_app()


@app.command()
def people(
    model: Model = None,
    count: Count = 500,
    closed: Annotated[int, typer.Option(help="How many prompts that name gender and tone.", min=0, max=100_000)] = 100,
    kind: Annotated[list[str] | None, typer.Option(help="These people alone; may be given again.")] = None,
    itself: Annotated[
        bool, typer.Option("--world", help="The world itself in place of a model: what a perfect one would get.")
    ] = False,
    steps: Steps = None,
    guidance: Guidance = None,
    fast: Fast = None,
    pack: Pack = None,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """Gender and skin tone that open prompts ("a doctor") get, against uniform, and whether a prompt that names them
    gets them. Held-out scenes, seeds in order from 0."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    check_output(output)
    from hibari import catalog
    from hibari.evaluate import people as measuring
    from hibari.evaluate.following import oracle
    from hibari.evaluate.look_judge import LookJudge
    from hibari.evaluate.makers import load_generator, model_maker, revision_of, world_of
    from hibari.worlds import SpritePack, World, whole

    sprites = sprites_of(pack) or SpritePack.load()
    kinds, facts, makers = kind or (), {"model": "the world itself"}, []
    world = (
        World(sprites, whole(sprites)) if itself else world_of(catalog.find(model or settings.model, settings), sprites)
    )
    worlds = [measuring.people_world(world, named=named, kinds=kinds) for named in (False, True)]
    if itself:
        makers = [oracle(each) for each in worlds]
    else:
        generator = load_generator(settings, model or "")
        revision = revision_of(generator, steps=steps, guidance=guidance, fast=fast)
        facts = {"model": generator.model.name, "revision": revision, "dtype": str(generator.dtype)}
        makers = [model_maker(generator, steps=steps, guidance=guidance, fast=fast)] * 2
    judge, seen = LookJudge(sprites), []
    for people_there, make, number in zip(worlds, makers, (count, closed), strict=True):
        asked = measuring.questions(people_there, number)
        seen.append(list(counted(measuring.look_at(make, judge, asked), number)))
    result: dict[str, Any] = facts | measuring.summarise(*seen)
    return finish(result, output, measuring.people_table)
