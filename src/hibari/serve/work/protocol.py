"""What a worker and its maker say to each other: JSON, one message a line. Who says what when is theirs to know.

The first line that a maker reads is its settings (`serve.pipes`); then come messages, and the end of the pipe means
that the other side is gone.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from hibari.machine import Holding


@dataclass(frozen=True, kw_only=True)
class Make:
    """To the maker: make a job's files in `folder`, a path.

    `asked` is a `serve.asked.Asked` as plain values; `inputs` says which file in the folder holds which of its blobs.
    What has to wait for a reviewer is kept as the blob `held_as`. A `generation_id` says that the job waited for one
    before, and `held` is the file in the folder that waited, where there was one.
    """

    job: str
    user: str
    asked: dict[str, Any]
    folder: str
    inputs: dict[str, str] = field(default_factory=dict)
    keep_latents: bool = False
    held_as: str = ""
    generation_id: int | None = None
    held: str = ""


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """To the maker: stop with a job, or do not begin with it."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Ready:
    """From the maker: the door is open and the model loaded."""


@dataclass(frozen=True, kw_only=True)
class NotReady:
    """From the maker: why it cannot work, from the start or from now on; its worker ends too."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """From the maker: there is a new preview in the job's folder; or none is to be seen any more, where `name` is None.

    A file of this name is whole at any time, and already screened and marked.
    """

    job: str
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """From the maker: `done` of `total` in a stage, as `produce.Progress` has it; "stills" comes on top."""

    job: str
    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Made:
    """From the maker: the files of a job, by kind ("video", "image", "thumbnail", …), as names in its folder."""

    job: str
    generation_id: int
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """From the maker: a job cannot be, now or later, with what its user is told.

    `category` is the policy's that said no, where one did; it is counted, and no user's.
    """

    job: str
    code: str
    message: str
    category: str = ""


@dataclass(frozen=True, kw_only=True)
class Waits:
    """From the maker: a job waits for a reviewer's word on a generation. `file` of its folder is what waits."""

    job: str
    generation_id: int
    message: str
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """From the maker: a job was cancelled, and nothing of it is left."""

    job: str


# A Holding comes from the maker now and then.
Order = Make | Cancel
Answer = Ready | NotReady | Holding | Step | Shown | Made | Failed | Waits | Stopped
_KINDS = {
    kind.__name__: kind for kind in (Make, Cancel, Ready, NotReady, Holding, Step, Shown, Made, Failed, Waits, Stopped)
}


def encode(message: Order | Answer) -> bytes:
    """A message as its line."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Order | Answer:
    """The message of a line; a line that is none asserts, as both sides are ours and of one release."""
    values = json.loads(line)
    kind = values.pop("kind")
    assert kind in _KINDS, kind
    if kind == Holding.__name__:
        values["models"] = tuple(values["models"])  # JSON knows lists alone
    message: Order | Answer = _KINDS[kind](**values)
    return message
