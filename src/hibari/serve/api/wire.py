"""The wire: forms and JSON read into one kind of fields, and the Video object written. No rules about videos here.

The clients send nearly everything as multipart, where all values are text and structures are names such as `video[id]`,
`arr[]` or `loras[][w]`; JSON brings its own types. One validator reads both.
"""

import hashlib
import json
import math
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from hibari.serve.api.errors import ApiError, invalid, missing
from hibari.serve.api.uploads import Upload
from hibari.store.queue_rows import Job

MAX_FIELDS, MAX_FILES, MAX_DEPTH = 200, 8, 4
MAX_VALUES = 100_000  # of JSON; commas in a prompt count too
IGNORED = ("user", "safety_identifier")  # clients' own notes on who asks; our keys say that
_NUMBER = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})([eE][+-]?[0-9]{1,3})?")
_STEP = re.compile(r"\[([^\[\]]*)\]")


class Fields:
    """What a request says, by name. Each reader answers None where a field is absent or null, and raises ApiError."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._read: set[str] = set(IGNORED)
        self._digest: str | None = None

    def raw(self, name: str) -> Any:
        """A value as it came; text that holds a JSON list or object is read, since forms know no structures."""
        value = self.given(name)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            try:
                return _loaded(value.encode())
            except (ValueError, RecursionError) as error:
                raise invalid(name, "It begins like JSON, and is none.") from error
        return value

    def given(self, name: str) -> Any:
        """A value as it came, and text as text."""
        self._read.add(name)
        return self._values.get(name)

    def text(self, name: str, *, required: bool = False, most: int = 32_000) -> str | None:
        """Text of 1 to `most` characters."""
        value = self.given(name)
        if value is None:
            if required:
                raise missing(name)
            return None
        if not isinstance(value, str):
            raise invalid(name, "Text is expected here.", "invalid_type")
        return checked_text(name, value, most)

    def whole(self, name: str) -> int | None:
        """A whole number, or text that is one."""
        value = self.given(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
            return int(value)
        raise invalid(name, "A whole number is expected here.", "invalid_type")

    def number(self, name: str) -> float | None:
        """A finite number, or text that is one: seconds come as 4, "4" and "2.5"."""
        value = self.given(name)
        if value is None:
            return None
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            value = float(value)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or abs(value) > 1e15
            or not math.isfinite(value)
        ):
            raise invalid(name, "A number is expected here.", "invalid_type")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """One of a few words."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise invalid(name, f"Allowed: {', '.join(allowed)}.")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false, or the text of one."""
        value = self.given(name)
        if value in ("true", "false"):
            return value == "true"
        if value is None or isinstance(value, bool):
            return value
        raise invalid(name, "true or false is expected here.", "invalid_type")

    def upload(self, name: str) -> Upload | None:
        """A file; None where something else came under this name."""
        value = self._values.get(name)
        if isinstance(value, list) and len(value) == 1:  # clients send lists of files as name[]
            value = value[0]
        if isinstance(value, Upload):
            self._read.add(name)
            return value
        return None

    def file(self, name: str) -> Upload:
        """A file that has to be there."""
        upload = self.upload(name)
        if upload is None and self.given(name) is None:
            raise missing(name)
        if upload is None:
            raise invalid(name, "A file is expected here, in a multipart form.", "invalid_type")
        return upload

    def finish(self) -> None:
        """Raise ApiError for a field that nobody read: what cannot take effect is an error."""
        for name in self._values:
            if name not in self._read:
                raise invalid(_cut(name), f"Unknown parameter: '{_cut(name)}'.", "unknown_parameter")

    def digest(self) -> str:
        """The SHA-256 of what was said, whatever its order and encoding; files count by their own.

        Made once: of a picture in a data URL it takes a good part of a second, and no event loop should.
        """
        if self._digest is None:
            text = json.dumps(self._values, sort_keys=True, default=_digest_of)
            self._digest = hashlib.sha256(text.encode()).hexdigest()
        return self._digest


def checked_text(name: str, value: str, most: int = 32_000) -> str:
    """Text that every store can keep; raises ApiError."""
    if not value.strip():
        raise invalid(name, f"{name} is empty.")
    if len(value) > most:
        raise invalid(name, f"{len(value)} characters, and at most {most} are allowed.", "string_above_max_length")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise invalid(name, "It holds characters that are no text.")
    return value


def json_fields(body: bytes) -> Fields:
    """The fields of a JSON body; raises ApiError for one that is no object."""
    try:
        values = _loaded(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body could not be parsed as JSON.", code="invalid_json") from error
    if not isinstance(values, dict):
        raise ApiError(400, "The body has to be a JSON object.", code="invalid_json")
    return Fields(values)


def form_fields(items: Sequence[tuple[str, str | Upload]]) -> Fields:
    """The fields of a form, names in brackets read as structures; raises ApiError.

    The items of `a[][x]`, `a[][x]`, `a[][y]`, `a[][y]` are dealt to objects key by key, since clients differ in order.
    """
    values: dict[str, Any] = {}
    for name, value in items:
        root, *steps = _path(name)
        if not steps:
            if root in values:
                raise invalid(root, "It is given twice.")
            values[root] = value
        else:
            values[root] = _placed(name, values.get(root), steps, value)
    return Fields(values)


def _path(name: str) -> list[str]:
    root, bracket, rest = name.partition("[")
    steps = _STEP.findall(bracket + rest)
    if not root or "".join(f"[{step}]" for step in steps) != bracket + rest or len(steps) > MAX_DEPTH:
        raise invalid(_cut(name), "It is not a field's name.")
    return [root, *steps]


def _placed(name: str, there: Any, steps: list[str], value: Any) -> Any:
    """`there` with a value put at the end of the steps."""
    step, rest = steps[0], steps[1:]
    if step == "":
        there = [] if there is None else there
        if not isinstance(there, list):
            raise invalid(_cut(name), "It is a list here and something else there.")
        if not rest:
            return [*there, value]
        for index, entry in enumerate(there):
            if isinstance(entry, dict) and rest[0] not in entry:
                return [*there[:index], _placed(name, entry, rest, value), *there[index + 1 :]]
        return [*there, _placed(name, None, rest, value)]
    there = {} if there is None else there
    if not isinstance(there, dict) or (not rest and step in there):
        raise invalid(_cut(name), "It is given twice.")
    return there | {step: value if not rest else _placed(name, there.get(step), rest, value)}


def _loaded(text: bytes) -> Any:
    """What JSON says; raises ValueError, also for more values than a request has: each takes many times its bytes."""
    if sum(text.count(mark) for mark in (b"[", b"{", b",")) > MAX_VALUES:
        raise ValueError("too many values")
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _digest_of(value: Any) -> str:
    assert isinstance(value, Upload), value
    return value.sha256


def _cut(name: str) -> str:
    return name if len(name) <= 64 else name[:61] + "..."


def seconds_text(seconds: float) -> str:
    """A duration as the Video object has it: "4", "2.5"."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def unix(moment: datetime | None) -> int | None:
    """A moment in whole seconds since 1970."""
    return int(moment.timestamp()) if moment is not None else None


def video_object(job: Job, place: int | None = None) -> dict[str, Any]:
    """A job as the API shows it: the 13 keys, which are always there, and ours. `place` counts those before it."""
    asked, moments = job.request, job.moments
    return {
        "id": job.id,
        "object": "video",
        "model": asked.get("called") or job.model,
        "status": job.status,
        "progress": 100 if job.status == "completed" else job.progress,
        "created_at": unix(moments.created_at),
        "completed_at": unix(moments.completed_at),
        "expires_at": unix(moments.expires_at),
        "prompt": job.prompt,
        "remixed_from_video_id": job.source_id,
        "size": job.size,
        "seconds": job.seconds,
        "error": {"code": job.error.code, "message": job.error.message} if job.error is not None else None,
        "seed": asked.get("seed"),
        "fps": asked.get("fps"),
        "num_frames": asked.get("num_frames"),
        "num_inference_steps": asked.get("steps"),
        "guidance_scale": asked.get("guidance"),
        "flow_shift": asked.get("flow_shift"),
        "negative_prompt": asked.get("negative") or None,
        "queue_position": place,
    }


def page(data: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """A page of a list, with all that the clients' paging needs."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}
