"""`hibari gallery`: ten fixed prompts with a few seeds each as one picture, nothing picked."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.cli.counting import Counter
from hibari.cli.options import Device, Dtype, Home, Model, new_app
from hibari.config import Settings

app = new_app()
Output = Annotated[Path, typer.Option("-o", "--output", help="Picture to make.", metavar="FILE")]


@app.command()
def gallery(
    output: Output = Path("gallery.png"),
    seeds: Annotated[int, typer.Option(help="How many takes of each prompt, seeds from 0 on.", min=1, max=8)] = 4,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """Make a contact sheet: ten fixed prompts with the same seeds each, as they come out, nothing picked."""
    settings = Settings.load(home=home, device=device, dtype=dtype, model=model)
    from hibari.evaluate.gallery import make_gallery
    from hibari.produce import Hibari

    record = make_gallery(Hibari(settings), output, seeds=range(seeds), on_clip=Counter())
    print(record.path)
    print(f"signed · watermarked · recorded as {record.id}", file=sys.stderr)
    return 0
