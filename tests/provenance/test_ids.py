"""Ids as people write them. Under a second."""

import pytest

from hibari.errors import InvalidRequest
from hibari.provenance.ids import GenerationId


@pytest.mark.parametrize("value", [0, 1, 31, 32, 2**48 - 1, 123456789012345])
def test_written_and_read_again(value: int) -> None:
    text = str(GenerationId(value))
    assert len(text) == 14
    assert GenerationId.parse(text).value == GenerationId.parse(text.upper()).value == value


def test_letters_that_look_alike_are_forgiven() -> None:
    assert GenerationId.parse("hbr_Oi1l000000") == GenerationId.parse("hbr_0111000000")


@pytest.mark.parametrize("text", ["", "hbr_", "hbr_u000000000", "hbr_00000000000", "video_1", "hbr_zzzzzzzzzz"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not an id"):
        GenerationId.parse(text)


def test_new_ones_differ() -> None:
    assert len({GenerationId.new() for _ in range(100)}) == 100
