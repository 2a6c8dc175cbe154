"""The progress bar: one line on standard error that counts denoising steps, with the time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from hibari.produce import OnProgress, Progress

STAGES = {
    "load": "loading the model",
    "denoise": "denoising, step {done} of {total}",
    "frames": "drawing, frame {done} of {total}",
}


@contextmanager
def bar(title: str) -> Iterator[OnProgress]:
    """A bar that goes when the block ends; the callback feeds it."""
    columns = (TextColumn("[bold]{task.fields[title]}"), BarColumn(bar_width=28), TextColumn("{task.description}"))
    left = TimeRemainingColumn(compact=True, elapsed_when_finished=False)
    with RichProgress(*columns, left, TextColumn("left"), console=Console(stderr=True), transient=True) as rich:
        task = rich.add_task(STAGES["load"], total=None, title=title)
        stage = "load"

        def show(progress: Progress) -> None:
            nonlocal stage
            words = STAGES[progress.stage].format(done=progress.done, total=progress.total)
            if progress.stage != stage:
                stage = progress.stage
                rich.reset(task, total=progress.total, description=words)
            total = None if stage == "load" else progress.total
            rich.update(task, completed=progress.done, total=total, description=words)

        yield show
