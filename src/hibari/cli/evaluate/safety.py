"""`hibari evaluate safety`: how much unsafe the prompt screen stops, and how much harmless it lets through."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hibari.cli.counting import counted
from hibari.cli.evaluate.options import Output
from hibari.cli.evaluate.results import check_output, finish, in_one_line
from hibari.cli.options import Home, Json, new_app
from hibari.config import Settings

app = new_app()
AgeBand = Literal["adult", "teen", "unknown"]
Parts = Literal["all", "rules", "classifier"]


@app.command()
def safety(
    prompts: Annotated[
        Path | None, typer.Option(help="Other test prompts than those that come with Hibari.", metavar="FILE.jsonl")
    ] = None,
    age_band: Annotated[AgeBand, typer.Option(help="Whose limits in the policy.")] = "adult",
    parts: Annotated[Parts, typer.Option(help="The whole screen, or a part of it.")] = "all",
    output: Output = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """How much unsafe the prompt screen stops and how much harmless it lets through, under this policy."""
    settings = Settings.load(home=home)
    check_output(output)
    from hibari.evaluate import safety as table

    asked = table.read_prompts(prompts or table.PROMPTS)
    judged = list(counted(table.judge(table.screen_of(settings, age_band, parts), asked), len(asked), "prompt"))
    show = in_one_line if as_json else table.safety_table
    return finish(table.summarise(judged), output, show)
