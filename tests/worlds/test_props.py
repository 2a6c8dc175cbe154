"""What things hide behind: opaque pictures of the size that was asked for. Well under a second."""

import numpy as np
import pytest

from hibari.worlds.pack import MARGIN
from hibari.worlds.props import PROPS, draw


@pytest.mark.parametrize("name", PROPS)
def test_props_cover(name: str) -> None:
    sprite = draw(np.random.default_rng(0), name, 60, 40)
    assert sprite.size == (40, 60) and sprite.num_frames == 1
    inner = sprite.strip[0, MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert inner[20:40, 3:37, 3].min() == 255
    assert (inner[..., :3] <= inner[..., 3:]).all()
    assert inner[..., :3].std() > 5
