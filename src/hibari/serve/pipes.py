"""What every child process of the service is told first, and the pipe that it answers on. What they say is theirs.

The first line on standard input is the settings, so that no secret in them stands on a command line.
"""

import json
import os
import sys
from dataclasses import asdict
from typing import BinaryIO

from hibari.config import GROUPS, Settings


def encode_settings(settings: Settings) -> bytes:
    """Settings as the first line."""
    return json.dumps(asdict(settings), default=str).encode() + b"\n"


def decode_settings(line: bytes) -> Settings:
    """The settings of the first line; raises what Settings raises."""
    values = json.loads(line)
    return Settings(**values | {name: kind(**values[name]) for name, kind in GROUPS.items()})


def own_stdout() -> BinaryIO:
    """The pipe that standard output is, for the protocol alone; whatever else prints goes to standard error."""
    sys.stdout.flush()
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return pipe
