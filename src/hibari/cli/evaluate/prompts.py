"""`hibari evaluate prompts`: does a clip show the object, the motion and the place that its prompt asks for?"""

from hibari.cli.counting import counted
from hibari.cli.evaluate.options import Count, Guidance, JudgesFolder, Output, Pack, Steps, panel_of, sprites_of
from hibari.cli.evaluate.results import check_output, finish
from hibari.cli.options import Device, Dtype, Fast, Home, Model, new_app
from hibari.config import Settings

app = new_app()


@app.command()
def prompts(
    model: Model = None,
    count: Count = 500,
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
    """Prompt following on held-out triples, seeds in order: a table, and with -o every answer as JSON."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    check_output(output)
    from hibari.evaluate import following, report
    from hibari.evaluate.makers import load_generator, model_maker, revision_of, world_of
    from hibari.evaluate.prompts import held_out_scenes, plain_world, prompts_of

    generator = load_generator(settings, model or "")
    world = plain_world(world_of(generator.model, sprites_of(pack)))
    panel = panel_of(judges, world)
    asked = prompts_of(held_out_scenes(world, count))
    maker = model_maker(generator, steps=steps, guidance=guidance, fast=fast)
    answers = list(counted(following.ask(maker, panel, asked), count))
    revision = revision_of(generator, steps=steps, guidance=guidance, fast=fast)
    facts = {"model": generator.model.name, "revision": revision, "dtype": str(generator.dtype)}
    return finish(facts | following.summarise(answers), output, report.following_table)
