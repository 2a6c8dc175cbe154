"""`--set a.b=c` on a recipe's frozen settings; an unknown key or a value of the wrong type fails."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from hibari.errors import TrainingError

T = TypeVar("T")


def override(settings: T, assignments: Sequence[str]) -> T:
    """The settings with each "a.b=value" put in; values are JSON, and what is no JSON is a string."""
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise TrainingError(f"--set {assignment}: expected name=value.", hint="For example --set dit.steps=2000.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        settings = _replace(settings, path.split("."), value, path)
    return settings


def _replace(settings: T, path: list[str], value: Any, whole: str) -> T:
    assert dataclasses.is_dataclass(settings) and not isinstance(settings, type)
    names = [field.name for field in dataclasses.fields(settings)]
    if path[0] not in names:
        raise TrainingError(f"--set {whole}: there is no {path[0]!r}.", hint=f"Known here: {', '.join(names)}.")
    old = getattr(settings, path[0])
    if len(path) > 1:
        if not dataclasses.is_dataclass(old):
            raise TrainingError(f"--set {whole}: {path[0]!r} has no parts.")
        return dataclasses.replace(settings, **{path[0]: _replace(old, path[1:], value, whole)})
    return dataclasses.replace(settings, **{path[0]: _fitted(old, value, whole)})


def _fitted(old: Any, value: Any, whole: str) -> Any:
    """The value in the type of what it replaces."""
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(old, tuple) and isinstance(value, list):
        value = json.loads(json.dumps(value), object_hook=dict)
        value = tuple(tuple(v) if isinstance(v, list) else v for v in value)
    if not isinstance(value, type(old)) or isinstance(value, bool) != isinstance(old, bool):
        raise TrainingError(f"--set {whole}: expected {type(old).__name__}, as in {old!r}; got {value!r}.")
    return value
