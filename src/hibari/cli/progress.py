"""The progress bar: one line on standard error that counts denoising steps, with the time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from hibari.produce import OnProgress, Progress

STAGES = {
    "load": "loading the model",
    "denoise": "denoising, step {done} of {total}",
    "frames": "drawing, frame {done} of {total}",
}


class TimeLeft(ProgressColumn):
    """Minutes and seconds to the end of the stage, once they can be guessed."""

    def render(self, task: Task) -> Text:
        if task.time_remaining is None:
            return Text("")
        minutes, seconds = divmod(round(task.time_remaining), 60)
        return Text(f"{minutes}:{seconds:02} left", style="cyan")


@contextmanager
def bar(title: str) -> Iterator[OnProgress]:
    """A bar that goes when the block ends; the callback feeds it."""
    columns = (TextColumn("[bold]{task.fields[title]}"), BarColumn(bar_width=28), TextColumn("{task.description}"))
    with RichProgress(*columns, TimeLeft(), console=Console(stderr=True), transient=True) as rich:
        task = rich.add_task(STAGES["load"], total=None, title=title)
        stage = "load"

        def show(progress: Progress) -> None:
            nonlocal stage
            done = f"{progress.done:>{len(str(progress.total))}}"  # as wide as the total, so that nothing jumps
            words = STAGES[progress.stage].format(done=done, total=progress.total)
            if progress.stage != stage:
                stage = progress.stage
                rich.reset(task, total=progress.total, description=words)
            total = None if stage == "load" else progress.total
            rich.update(task, completed=progress.done, total=total, description=words)

        yield show
