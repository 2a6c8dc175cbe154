"""Options that several measures share, and what they stand for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hibari.evaluate.judges import Judges
    from hibari.worlds import SpritePack, World

Count = Annotated[int, typer.Option("-n", help="How many clips.", min=2, max=100_000)]
Steps = Annotated[int | None, typer.Option(help="Denoising steps.", min=1)]
Guidance = Annotated[float | None, typer.Option(help="How strictly to follow the prompt.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="File for the whole result.", metavar="FILE.json")]
Pack = Annotated[Path | None, typer.Option(help="Sprite pack; the one that comes with Hibari by default.")]
JudgesFolder = Annotated[Path | None, typer.Option(help="Folder of other judges than those that come with Hibari.")]


def panel_of(folder: Path | None, world: "World") -> "Judges":
    """The judges in a folder, or those that come with Hibari; raises HibariError where the world is not theirs."""
    from hibari.evaluate.judges import SHIPPED, Judges

    panel, words = Judges.load(folder or SHIPPED), world.vocabulary
    panel.require(objects=words.objects, motions=words.motions, backgrounds=words.backgrounds)
    return panel


def sprites_of(folder: Path | None) -> "SpritePack | None":
    """The sprite pack in a folder; None, which stands for the starter pack, without one."""
    from hibari.worlds import SpritePack

    return None if folder is None else SpritePack.load(folder)
