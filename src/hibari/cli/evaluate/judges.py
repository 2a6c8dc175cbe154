"""`hibari evaluate judges`: the judges' own scores, and new judges for another world."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hibari.cli.evaluate.options import Count, Pack, sprites_of
from hibari.cli.options import new_app

app = new_app()


@app.command()
def judges(
    train: Annotated[bool, typer.Option("--train", help="Train new judges first.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where they are, or are to be written.")] = None,
    count: Count = 300,
    pack: Pack = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="For everything in the pack, not the starter's words.")
    ] = False,
) -> int:
    """Score the judges on held-out clips of the world; with --train, train them for it first."""
    from hibari.evaluate import judge_training, report
    from hibari.evaluate.judges import SHIPPED, Judges
    from hibari.worlds import STARTER, SpritePack, World
    from hibari.worlds.vocabulary import whole as everything

    sprites = sprites_of(pack) or SpritePack.load()
    world = World(sprites, everything(sprites) if whole else STARTER)
    place = folder or SHIPPED
    if train:
        panel = judge_training.train_judges(
            world, judge_training.JudgeTraining(), lambda text: print(text, file=sys.stderr)
        )
    else:
        panel = Judges.load(place)
    words = world.vocabulary
    panel.require(objects=words.objects, backgrounds=words.backgrounds)
    card = judge_training.score_judges(panel, world, count)
    if train:
        panel.save(place, card)
    print(report.judges_table(card), end="")
    return 0 if judge_training.passes(card) else 1
