"""Options that several verbs share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from hibari.errors import InvalidRequest
from hibari.request import Shortcuts

Home = Annotated[Path | None, typer.Option(help="Data folder; the platform's own by default.", metavar="DIR")]
Model = Annotated[str | None, typer.Option(help="Name or folder; `hibari models` lists them.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Memory = Annotated[float | None, typer.Option(help="Memory that it may take; what is free by default.", metavar="GB")]
Storage = Annotated[
    str | None, typer.Option(help="Weights as they are (exact), in a byte each (int8, fp8), or auto.", metavar="KIND")
]
Offload = Annotated[
    str | None, typer.Option(help="Where weights lie until used: auto, none, parts, cpu or disk.", metavar="WHERE")
]
Fast = Annotated[
    bool | None, typer.Option("--fast/--no-fast", help="By the model's version of few steps, or by the full one.")
]
Cache = Annotated[
    float | None, typer.Option(help="Steps take over what changed less than this (0.1 saves much; approximate).")
]
GuidanceInterval = Annotated[
    str | None, typer.Option(help="Noise levels between which guidance is on (approximate).", metavar="LOW:HIGH")
]


def shortcuts_of(cache: float | None, interval: str | None) -> Shortcuts:
    """The shortcuts that two options ask for; raises InvalidRequest for an interval of another form."""
    if interval is None:
        return Shortcuts(cache=cache or 0.0)
    try:
        low, high = map(float, interval.split(":"))
    except ValueError:
        raise InvalidRequest(
            f"{interval!r} is no interval.", option="guidance_interval", hint="Give LOW:HIGH, such as 0.2:0.9."
        ) from None
    return Shortcuts(cache=cache or 0.0, guidance_low=low, guidance_high=high)


def new_app() -> typer.Typer:
    """A verb's typer application: no completion flags, errors left to `hibari.cli`."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)
