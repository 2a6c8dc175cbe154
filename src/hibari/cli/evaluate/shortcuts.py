"""`hibari evaluate shortcuts`: how far the frames made in less time are from the exact ones."""

from typing import Annotated

import typer

from hibari.cli.evaluate.options import Output, Steps
from hibari.cli.evaluate.results import check_output, finish
from hibari.cli.options import Cache, Device, Dtype, GuidanceInterval, Home, Model, new_app, shortcuts_of
from hibari.config import Settings
from hibari.errors import InvalidRequest

app = new_app()


@app.command()
def shortcuts(
    prompt: Annotated[str, typer.Argument(help="What to show.")],
    model: Model = None,
    cache: Cache = None,
    guidance_interval: GuidanceInterval = None,
    seconds: Annotated[float | None, typer.Option(help="Duration of each clip.")] = None,
    steps: Steps = None,
    count: Annotated[int, typer.Option("-n", help="How many clips, with seeds from 1 on.", min=1, max=1000)] = 2,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """How far the frames made with --cache or --guidance-interval are from the exact ones, and what time they save."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    check_output(output)
    given = shortcuts_of(cache, guidance_interval)
    if not str(given):
        raise InvalidRequest(
            "there is nothing to measure.", option="cache", hint="Give --cache or --guidance-interval."
        )
    from hibari.evaluate import shortcuts as measuring
    from hibari.evaluate.makers import load_generator
    from hibari.request import GenerationRequest

    request = GenerationRequest(prompt=prompt, seconds=seconds, steps=steps, shortcuts=given)
    result = measuring.measure(load_generator(settings, model or ""), request, range(1, count + 1))
    return finish(result, output, measuring.shortcuts_table)
