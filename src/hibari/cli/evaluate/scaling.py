"""`hibari evaluate scaling`: one picture, a curve and a table of weights of more and more training compute."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.cli.counting import Counter, counted
from hibari.cli.evaluate.options import JudgesFolder, Pack, panel_of, sprites_of
from hibari.cli.evaluate.results import finish
from hibari.cli.options import Device, Dtype, Home, new_app
from hibari.config import Settings

app = new_app()
Folders = Annotated[
    list[str],
    typer.Argument(
        help="The folder of a run, which kept weights on its way; or several weights folders, least compute first.",
        metavar="RUN | FOLDER[=FLOPS]…",
    ),
]
Picture = Annotated[Path, typer.Option("-o", "--output", help="Picture to make.", metavar="FILE")]


@app.command()
def scaling(
    folders: Folders,
    output: Picture = Path("scaling.png"),
    clips: Annotated[int, typer.Option(help="Held-out clips for the loss.", min=1, max=10_000)] = 48,
    count: Annotated[int, typer.Option("-n", help="Prompts for prompt following, too.", min=0, max=100_000)] = 0,
    judges: JudgesFolder = None,
    pack: Pack = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """The same prompts, seeds and held-out clips at several amounts of training compute: a picture and a table."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    from hibari import catalog
    from hibari.evaluate import report
    from hibari.evaluate import scaling as measuring
    from hibari.evaluate.makers import world_of
    from hibari.evaluate.prompts import plain_world
    from hibari.produce.sheet import check_sheet_target

    check_sheet_target(output)
    with measuring.points_of(folders) as points:
        models = [catalog.find(str(point.folder), settings) for point in points]
        world = plain_world(world_of(models[-1], sprites_of(pack)))
        panel = panel_of(judges, world) if count else None
        measured = measuring.measure(points, settings, world, clips, panel, count)
        rows = list(counted(measured, len(points), "model"))
        finish(measuring.summarise_points(rows, clips, count), None, report.scaling_table)
        record = measuring.make_sheet(points, rows, settings, output, on_clip=Counter())
    print(f"{record.path}: signed · watermarked · recorded as {record.id}", file=sys.stderr)
    return 0
