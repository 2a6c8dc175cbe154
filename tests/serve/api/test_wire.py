"""Text in a request is checked, and what is wrong with it names its field. No time."""

import pytest

from hibari.serve.api.errors import ApiError
from hibari.serve.api.wire import checked_text


def test_empty_text_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        checked_text("prompt", "  ")
    assert (caught.value.message, caught.value.param) == ("prompt is empty.", "prompt")
