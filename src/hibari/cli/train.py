"""`hibari train`: a recipe from the package, with settings of one's own."""

from typing import Annotated

import typer

from hibari.cli.options import Home, new_app
from hibari.config import Settings

app = new_app()


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of the recipe, such as mini.")],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Another value for one setting; may be repeated.", metavar="a.b=c")
    ] = None,
    home: Home = None,
) -> int:
    """Train a model by a recipe."""
    settings = Settings.load(home=home)
    from hibari import recipes  # loads torch

    print(recipes.run(recipe, assignments or [], home=settings.ensure_home()))
    return 0
