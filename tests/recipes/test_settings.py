"""`--set a.b=c`: strict names and types. Under 1 s."""

from dataclasses import dataclass, field

import pytest

from hibari.errors import TrainingError
from hibari.recipes.settings import override


@dataclass(frozen=True)
class Inner:
    steps: int = 10
    rate: float = 0.5
    shares: tuple[tuple[int, float], ...] = ((1, 0.5),)


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    on: bool = False
    inner: Inner = field(default_factory=Inner)


def test_values_of_every_type() -> None:
    changed = override(
        Outer(), ["inner.steps=20", "inner.rate=1", "name=cpu", "on=true", "inner.shares=[[1, 0.25], [6, 0.75]]"]
    )
    assert changed == Outer("cpu", True, Inner(20, 1.0, ((1, 0.25), (6, 0.75))))
    assert isinstance(changed.inner.rate, float)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("inner.step=20", "Known here: steps, rate, shares"),
        ("inner.steps=many", "expected int"),
        ("inner.steps=2.5", "expected int"),
        ("inner.steps=true", "expected int"),
        ("on=1", "expected bool"),
        ("name.first=b", "no parts"),
        ("name", "expected name=value"),
    ],
)
def test_what_does_not_fit_fails(assignment: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        override(Outer(), [assignment])
