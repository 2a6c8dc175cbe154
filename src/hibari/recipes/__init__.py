"""Runs as code: a recipe is a frozen record of settings and the function that runs it.

`hibari train NAME --set a.b=c` is `run(NAME, ["a.b=c"])`.
"""

from collections.abc import Sequence
from pathlib import Path

from hibari.errors import TrainingError
from hibari.recipes.settings import override

NAMES = ("mini", "mini-gpu", "mini-fast", "safety")


def run(name: str, assignments: Sequence[str] = (), home: Path | None = None) -> Path:
    """Run a recipe with settings put in; returns the folder of what it made. TrainingError for a wrong name or key.

    A recipe without an `out` of its own runs in `home/runs/NAME`, or in `runs/NAME` where there is no home.
    """
    if name not in NAMES:
        raise TrainingError(f"there is no recipe {name!r}.", hint=f"Recipes: {', '.join(NAMES)}.")
    if name == "safety":
        from hibari.recipes import safety

        screen = override(safety.SAFETY, assignments)
        return safety.run(screen, Path(screen.out) if screen.out else (home or Path()) / "runs" / name)
    if name == "mini-fast":
        from hibari.recipes import fast

        few = override(fast.MINI_FAST, assignments)
        return fast.run(few, Path(few.out) if few.out else (home or Path()) / "runs" / name)
    from hibari.recipes import mini

    recipe = override(mini.MINI if name == "mini" else mini.MINI_GPU, assignments)
    return mini.run(recipe, Path(recipe.out) if recipe.out else (home or Path()) / "runs" / name, home)
