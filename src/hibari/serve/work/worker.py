"""A worker: claims jobs, has its maker make them, and brings their files to where the API finds them. No torch here.

`python -m hibari.serve.work.worker` is the supervisor's way to start one, with its settings on standard input, and
`work` is a person's. Its loop is `claimer`'s. What a dead maker or worker leaves on the disk is swept; what a dead
worker had claimed is another's when its lease is over.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Collection
from threading import Event, Thread
from types import FrameType
from typing import TYPE_CHECKING

from hibari.config import Settings
from hibari.errors import HibariError, StoreError
from hibari.serve.pipes import decode_settings
from hibari.serve.work.private import private_folder
from hibari.serve.work.workbench import Workbench

if TYPE_CHECKING:
    from hibari.serve.work.errand import Pace

FOLDER = "work"
READY, CANNOT = b"ready\n", b"cannot: "  # what a worker says to its supervisor, the latter before why
_LOG = logging.getLogger(__name__)


def work(
    settings: Settings,
    *,
    stop: Event,
    models: Collection[str] | None = None,
    pace: "Pace | None" = None,
    on_ready: Callable[[], object] | None = None,
) -> None:
    """Work off the queue until `stop` is set, for the `models` named, or those that are here.

    `on_ready` is called once the first maker is. Raises HibariError for what keeps the worker, or its maker, from
    starting.
    """
    settings.ensure_home()
    with private_folder(settings.home / FOLDER) as folder:
        bench = Workbench(settings)  # first, as it takes longest: the database's modules load meanwhile
        try:
            from hibari.serve.work.claimer import Claimer
        except BaseException:
            bench.close()
            raise
        Claimer(settings, bench, folder, pace).run(stop, models, on_ready)


def stop_on_signals() -> Event:
    """An event that Ctrl-C and a polite end (SIGTERM) set."""
    stop = Event()

    def ask(_: int, __: FrameType | None) -> None:
        stop.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, ask)
    return stop


def main() -> int:
    """The supervisor's worker: settings come in on standard input, whose end means that the supervisor is gone."""
    from hibari.serve.journal import write_childs_journal

    stop = stop_on_signals()
    settings = decode_settings(sys.stdin.buffer.readline())
    write_childs_journal(settings.service.log)

    def watch() -> None:
        # Not through the buffer: a thread that holds its lock when Python ends takes the process down with an abort.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stop.set()

    Thread(target=watch, daemon=True).start()
    try:
        work(settings, stop=stop, on_ready=lambda: os.write(sys.stdout.fileno(), READY))
    except StoreError as error:  # it may be there again later
        _LOG.error("%s", error)
        return 1
    except HibariError as error:
        os.write(sys.stdout.fileno(), CANNOT + " ".join(str(error).split()).encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
