"""The log of a service's processes, on standard error. No prompts: nobody puts any into it.

For machines it is one JSON object a line. For a person at a terminal it is the time, what happened, and the id of what
it happened to; what only looked and succeeded is left out there.

What a line is about comes from two sides: the logging call's `extra`, and `about`, which names the request and the job
that a thread or task works on, in whatever it or a library logs meanwhile.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from http import HTTPStatus
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


class TextLines(logging.Formatter):
    """A record as a line to read: the time here, what is amiss, words, and the id of what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a trace below it where there is one; nothing in it that a terminal would obey."""
        facts = {**_ABOUT.get(), **vars(record)}
        said = record.getMessage()
        if "operation" in facts:
            said = f"{facts['user'] or 'somebody'}: {facts['operation']}, {facts['status']} {facts['code'] or ''}"
        id = facts.get("video") or facts.get(REQUEST_ID)
        if id is not None and id not in said:
            said = f"{said} [{id}]"
        amiss = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        lines = [f"{time.strftime('%H:%M:%S', time.localtime(record.created))}  {amiss}{plain(said)}"]
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            lines += [" " * (len(line) - len(line.lstrip())) + plain(line) for line in trace]
        return "\n".join(lines)


def plain(text: str) -> str:
    """A person's text on one line, with nothing in it that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))


def is_news(record: logging.LogRecord) -> bool:
    """Whether a person at a terminal wants to read a record."""
    if record.levelno > logging.INFO:
        return True
    if record.name == "__main__":  # a maker or helper, whose worker or API says the same
        return False
    facts = vars(record)
    return not (facts.get("method") in ("GET", "HEAD") and facts["status"] < HTTPStatus.BAD_REQUEST)


def write_journal(kind: str = "auto") -> None:
    """Log in this process from now on; libraries say what goes wrong, and we what we do.

    `kind` is "json", "text", or "auto": text where standard error is a terminal.
    """
    handler = logging.StreamHandler(sys.stderr)
    if kind == "text" or (kind == "auto" and sys.stderr.isatty()):
        handler.setFormatter(TextLines())
        handler.addFilter(is_news)
    else:
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("hibari").setLevel(logging.INFO)
    # With -m the module that runs is called __main__, and it is ours.
    logging.getLogger("__main__").setLevel(logging.INFO)


def write_childs_journal(kind: str = "auto") -> None:
    """The same for a process that is nothing but the service's: warnings and its last fault are lines of it too."""
    write_journal(kind)
    logging.captureWarnings(True)
    sys.excepthook = _log_fault


def _log_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _LOG.critical("the process ends: %s", kind.__name__, exc_info=(kind, error, trace))
    # At once: everything of ours is unwound, and a thread that holds a pipe's lock would make Python abort.
    os._exit(1)
