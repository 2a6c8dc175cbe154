"""`hibari plan`: what a generation would take here, and how it would be made to fit. Nothing is loaded for it."""

import json
from typing import Annotated, Any

import typer

from hibari.cli.options import Device, Dtype, Fast, Home, Json, Memory, Model, Offload, Storage, new_app
from hibari.config import Settings
from hibari.produce.foreseen import NOT_KNOWN, Fitted, as_values, fit_plan
from hibari.produce.job import Plan, look_ahead

app = new_app()
GB = 1e9


@app.command()
def plan(
    model: Model = None,
    size: Annotated[str | None, typer.Option(help="Delivered size, such as 576x336.", metavar="WxH")] = None,
    seconds: Annotated[float | None, typer.Option(help="Duration; 0 makes a picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly to follow the prompt; 1 is not at all.")] = None,
    fast: Fast = None,
    device: Device = None,
    dtype: Dtype = None,
    memory: Memory = None,
    storage: Storage = None,
    offload: Offload = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Say what a generation would take: memory, time, and how it is made to fit."""
    given: dict[str, Any] = {"memory": memory, "storage": storage, "offload": offload, "device": device, "dtype": dtype}
    settings = Settings.load(home=home, **given)
    asked: dict[str, Any] = {"model": model, "size": size, "seconds": seconds}
    asked |= {"steps": steps, "guidance": guidance, "fast": fast}
    found, planned, is_here = look_ahead({name: value for name, value in asked.items() if value is not None}, settings)
    fitted = fit_plan(found, planned, settings)
    if as_json:
        print(
            json.dumps(
                _facts(found.name, planned) | {"here": is_here} | (as_values(fitted) if fitted is not None else {})
            )
        )
        return 0
    print(_what(found.name, planned))
    if not is_here:
        assert found.published is not None, "no other is looked ahead at"
        gigabytes = min(found.published.gigabytes.values())
        print(f"  not here  hibari pull {found.name} ({gigabytes:.0f} GB or more, {found.card.licence})")
    for note in planned.notes:
        print(f"  {note}")
    print(
        _takes(fitted) if fitted is not None else "  memory and time are not foreseen for a model that diffusers runs"
    )
    return 0


def _facts(name: str, planned: Plan) -> dict[str, Any]:
    return {
        "model": name,
        "size": str(planned.delivered),
        "render_size": f"{planned.render.width}x{planned.render.height}",
        "rendered_frames": planned.render.frames,
        "duration": planned.seconds,
        "steps": planned.visits,
        "notes": list(planned.notes),
    }


def _what(name: str, planned: Plan) -> str:
    length = f"{planned.seconds:g} s" if planned.seconds else "a picture"
    size, delivered = f"{planned.render.width}x{planned.render.height}", str(planned.delivered)
    rendered = f"rendered at {size}, " if size != delivered else ""
    frames = f"{planned.render.frames} frame{'s'[: planned.render.frames > 1]}"
    return f"{length} of {delivered} by {name}: {rendered}{frames}, in {planned.visits} steps"


def _takes(fitted: Fitted) -> str:
    """Memory by stage, the way that was chosen, and the time, in lines."""
    forecast = fitted.forecast
    memory = forecast.accelerator or forecast.main
    stages = ", ".join(f"{name} {size / GB:.2f}" for name, size in memory.items())
    free = f" of {fitted.free / GB:.3g}" if fitted.free else ""
    beside = f" on the accelerator, and {forecast.peak_main / GB:.2f} GB of main memory" if forecast.accelerator else ""
    lines = [f"  memory    {forecast.peak / GB:.2f}{free} GB{beside} ({stages})"]
    lines.append(f"  held      {str(fitted.fit) or 'whole, as it is'}")
    if forecast.seconds is None:
        lines.append(f"  time      {NOT_KNOWN}")
    else:
        spent = ", ".join(f"{name} {_time(seconds)}" for name, seconds in forecast.seconds.items())
        lines.append(f"  time      about {_time(sum(forecast.seconds.values()))} ({spent}), and loading")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
