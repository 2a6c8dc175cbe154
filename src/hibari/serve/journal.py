"""The log of a service's processes: one JSON object a line on standard error. No prompts: nobody puts any into it.

What a line is about, such as `request_id`, comes in as the logging call's `extra`, and stands in the line by its name.
"""

import json
import logging
import sys
from datetime import UTC, datetime

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """A record as a line of JSON: moment, level, logger, process, words, and what `extra` named."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "process": record.process,
            "says": record.getMessage(),
        }
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
