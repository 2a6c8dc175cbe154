"""`hibari evaluate frames`: how often the frame screen stops what a model makes of harmless prompts."""

from hibari.cli.counting import counted
from hibari.cli.evaluate.options import Count, Output, Pack, Steps, sprites_of
from hibari.cli.evaluate.results import check_output, finish
from hibari.cli.options import Device, Dtype, Home, Model, new_app
from hibari.config import Settings

app = new_app()


@app.command()
def frames(
    model: Model = None,
    count: Count = 40,
    steps: Steps = 8,
    pack: Pack = None,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """How often the frame screen holds or refuses what the model makes of harmless prompts, seeds in order from 0."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    check_output(output)
    from hibari.evaluate import frame_alarms as alarms
    from hibari.evaluate.makers import delivered_maker, load_generator, world_of
    from hibari.provenance.places import SAFETY
    from hibari.safety.frames import FrameScreen
    from hibari.safety.policy import Policy

    policy = Policy.load(settings.policy)
    screen = FrameScreen.load(policy, settings.home / SAFETY)
    generator = load_generator(settings, model or "")
    world = world_of(generator.model, sprites_of(pack))
    looked = alarms.look(delivered_maker(generator, steps=steps), screen, world, range(count))
    clips = list(counted(looked, count))
    facts = {"model": generator.model.name, "revision": generator.model.revision, "steps": steps}
    return finish(facts | alarms.summarise(clips, policy), output, alarms.alarms_table)
