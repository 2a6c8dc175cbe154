"""The log of a service's processes: one JSON object a line on standard error. No prompts: nobody puts any into it.

What a line is about comes from two sides: the logging call's `extra`, and `about`, which names the request and the job
that a thread or task works on, in whatever it or a library logs meanwhile.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any

REQUEST_ID = "request_id"
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_LOG = logging.getLogger(__name__)
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("hibari_about", default=_NOTHING)  # each task's and thread's own


@contextmanager
def about(**facts: str | None) -> Iterator[None]:
    """Name in every line of the log what this task or thread works on while the block runs; None: not known."""
    token = _ABOUT.set({**_ABOUT.get(), **{name: fact for name, fact in facts.items() if fact is not None}})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def about_job(id: str, asked: Mapping[str, Any]) -> AbstractContextManager[None]:
    """The same about a job: its id, and the id of the request that asked for it, as its document has it."""
    return about(video=id, request_id=asked.get(REQUEST_ID))  # another release's document may lack it


def request_id() -> str | None:
    """The request that this task or thread works for, where there is one."""
    return _ABOUT.get().get(REQUEST_ID)


class JsonLines(logging.Formatter):
    """A record as a line of JSON: moment, level, logger, process, words, and what `about` and `extra` named."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "process": record.process,
            "says": record.getMessage(),
        }
        line |= _ABOUT.get()
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def write_journal(level: int = logging.INFO) -> None:
    """Log in this process from now on; libraries say what goes wrong, and we what we do."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("hibari").setLevel(level)
    # With -m the module that runs is called __main__, and it is ours.
    logging.getLogger("__main__").setLevel(level)


def write_childs_journal() -> None:
    """The same for a process that is nothing but the service's: warnings and its last fault are lines of JSON too."""
    write_journal()
    logging.captureWarnings(True)
    sys.excepthook = _log_fault


def _log_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _LOG.critical("the process ends: %s", kind.__name__, exc_info=(kind, error, trace))
    # At once: everything of ours is unwound, and a thread that holds a pipe's lock would make Python abort.
    os._exit(1)
