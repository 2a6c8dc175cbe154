"""Where the result of a measure goes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hibari.errors import InvalidRequest
from hibari.media.files import beside, check_writable


def check_output(output: Path | None) -> None:
    """Raise InvalidRequest or OutputError where the result could not be written once it is there."""
    if output is None:
        return
    if output.suffix != ".json":
        raise InvalidRequest(f"{output.name} cannot be written.", option="output", hint="The result is a .json file.")
    check_writable(output)


def finish(result: dict[str, Any], output: Path | None, as_table: Callable[[dict[str, Any]], str]) -> int:
    """Print the table, and write the whole result where a file is asked for."""
    if output is not None:
        with beside(output) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(as_table(result), end="")
    return 0


def in_one_line(result: dict[str, Any]) -> str:
    """The result in one line."""
    return json.dumps(result) + "\n"
