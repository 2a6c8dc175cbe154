"""The progress bar: one line on standard error that counts denoising steps, with the time left."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from hibari.produce import OnProgress, Progress

STAGES = {
    "screen": "screening the request",
    "load": "loading the model",
    "denoise": "denoising, step {done} of {total}",
    "frames": "drawing and marking, frame {done} of {total}",
    "sign": "signing and recording",
}


class TimeLeft(ProgressColumn):
    """Minutes and seconds to the end of the stage, once they can be guessed."""

    def render(self, task: Task) -> Text:
        if task.time_remaining is None:
            return Text("")
        minutes, seconds = divmod(round(task.time_remaining), 60)
        return Text(f"{minutes}:{seconds:02} left", style="cyan")


def watcher(title: str) -> AbstractContextManager[OnProgress | None]:
    """A progress bar where a person is watching; silence in a log."""
    return bar(title) if sys.stderr.isatty() else nullcontext()


@contextmanager
def bar(title: str) -> Iterator[OnProgress]:
    """A bar that goes when the block ends; the callback feeds it."""
    columns = (TextColumn("[bold]{task.fields[title]}"), BarColumn(bar_width=28), TextColumn("{task.description}"))
    with RichProgress(*columns, TimeLeft(), console=Console(stderr=True), transient=True) as rich:
        task = rich.add_task(STAGES["screen"], total=None, title=title)
        stage = "screen"

        def show(progress: Progress) -> None:
            nonlocal stage
            done = f"{progress.done:>{len(str(progress.total))}}"  # as wide as the total, so that nothing jumps
            words = STAGES[progress.stage].format(done=done, total=progress.total)
            if progress.stage != stage:
                stage = progress.stage
                rich.reset(task, total=progress.total, description=words)
            total = None if progress.total == 1 else progress.total
            rich.update(task, completed=progress.done, total=total, description=words)

        yield show
